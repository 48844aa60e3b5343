"""Places the sound and the pictures of a file on one timeline, without trusting any single number in the file.

Every number of a file may be wrong: the timestamp of a packet, the start of a stream, a stated length. So a number is
believed only if other numbers confirm it:

* A timestamp that jumps is believed if the timestamps after it jump, too. A lone timestamp is not: its sound continues
  the sound before it, and its picture is shown one usual interval after the picture before it.
* The start and the end of a stream are those of runs of packets whose timestamps lie close together, or lie within what
  another stream covers.
* Time 0 is the earlier start of the chosen sound and pictures. Sound that starts only a fraction of a second before the
  pictures is an encoder's delay, which some containers hide and others do not; time 0 is then the first picture.
* If the sound ends before the pictures start, or the other way round, a start is wrong, and both start at time 0.

This module works with numbers alone; `survey` collects them from a file.
"""

import collections
import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")

# A sound block whose timestamp differs less than this from the end of the block before it continues that block.
_GAP_SECONDS = 0.05
# A smaller step is a gap, too, if all following timestamps have made the same step: one packet of sound is missing.
_STEP_SECONDS = 0.015
_STEP_AGREES_SECONDS = 0.003
_STEP_WITNESSES = 8
# Timestamps that are read after a doubtful one: many of sound, because a transport stream has one timestamp for several
# blocks.
_SOUND_WITNESSES = 64
_PICTURE_WITNESSES = 6
# A longer pause between packets is doubtful, unless it is usual in this stream.
_PAUSE_SECONDS = 1.0
_USUAL_PAUSES = 8
# Packets of a run lie closer together than this, unless more is usual.
_STRIDE_SECONDS = 0.2
_RUN_PACKETS = 3
_RUN_SECONDS = 0.4
_FIRST_PACKETS = 8
_MOST_LONE = 16
# The longest delay of an encoder: 2,112 samples of AAC at 22,050 Hz.
_DELAY_SECONDS = 0.1
# A first picture that differs more than this from the start of its stream is doubtful.
_START_SECONDS = 0.1
_SAME_TIME_SECONDS = 1e-6


@dataclasses.dataclass
class Doubts:
    """Counts the timestamps of a stream that were not believed.

    Attributes:
        timestamps: Their number.
        furthest_s: Greatest distance between a timestamp and the time at which its sound or picture was placed.
    """

    timestamps: int = 0
    furthest_s: float = 0.0

    def add(self, distance_s: float) -> None:
        """Counts one more timestamp."""
        self.timestamps += 1
        self.furthest_s = max(self.furthest_s, abs(distance_s))


class Extent:
    """Finds the first and the last believed timestamp of a stream while its packets are read, in constant memory.

    Attributes:
        packets: Number of packets so far.
        raw_end_s: Latest end of a packet by its own timestamp and duration, believed or not.
    """

    def __init__(self) -> None:
        self.packets = 0
        self.raw_end_s = -math.inf
        self._first: list[tuple[float, float]] | None = []
        self._steps: collections.deque[float] = collections.deque(maxlen=15)
        self._before = math.nan
        self._start, self._end, self._count = 0.0, 0.0, 0  # first time, last end and packets of the present run
        self._sure: list[float] = []  # first time and last end of all long runs
        self._lone: list[tuple[float, float, int]] = []  # first time, last end and packets of short runs
        self._leading = 0  # number of short runs before the first long one
        self._interval = 0.0  # mean interval of the packets of the first long one

    def add(self, time_s: float | None, duration_s: float) -> None:
        """Adds the next packet of the file; packets without a timestamp are only counted.

        Args:
            time_s: Time of presentation in seconds.
            duration_s: Stated duration in seconds; 0 if unknown.
        """
        self.packets += 1
        if time_s is None:
            return
        end_s = time_s + duration_s
        if end_s > self.raw_end_s:
            self.raw_end_s = end_s
        if self._first is None:
            self._add(time_s, duration_s)
        else:
            self._first.append((time_s, duration_s))
            if len(self._first) == _FIRST_PACKETS:
                self._release()

    def _release(self) -> None:
        """Adds the first packets, whose usual distance is now known."""
        first, self._first = self._first or [], None
        times = [time for time, _ in first]
        steps = [abs(later - time) for time, later in itertools.pairwise(times)]
        self._steps.extend(3 * [statistics.median_low(steps)] if steps else [])
        for time, duration in first:
            self._add(time, duration)
            if len(first) < _RUN_PACKETS:  # No usual distance is known.
                self._close()

    def _add(self, time_s: float, duration_s: float) -> None:
        # This runs for every packet of a file, so it avoids calls.
        step = abs(time_s - self._before)
        if step > _STRIDE_SECONDS and self._count and step > _USUAL_PAUSES * statistics.median_low(self._steps):
            self._close()
        if step > 0:  # not for the first one, whose step is no number
            self._steps.append(step)
        self._before = time_s
        # The stated duration of a packet may be as wrong as its timestamp.
        end = time_s + (duration_s if duration_s < _PAUSE_SECONDS else _PAUSE_SECONDS)
        if not self._count:
            self._start, self._end = time_s, end
        if time_s < self._start:
            self._start = time_s
        if end > self._end:
            self._end = end
        self._count += 1

    def _close(self) -> None:
        first, last, packets = self._start, self._end, self._count
        if packets >= _RUN_PACKETS and last - first >= _RUN_SECONDS:
            if not self._sure:
                self._leading, self._interval = len(self._lone), (last - first) / packets
            self._sure = [min([first, *self._sure[:1]]), max([last, *self._sure[1:]])]
        elif len(self._lone) < _MOST_LONE:
            self._lone.append((first, last, packets))
        self._count = 0

    def finish(self) -> None:
        """Ends the stream; call it after the last packet."""
        if self._first is not None:
            self._release()
        if self._count:
            self._close()

    @property
    def sure(self) -> tuple[float, float] | None:
        """First time and last end of the runs of packets that confirm each other, in seconds; None without any."""
        return (self._sure[0], self._sure[1]) if self._sure else None

    def span(self, others: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
        """Returns the first believed time and the last believed end in seconds; None without any timestamp.

        Args:
            others: What other streams of the file cover, see `sure`; it confirms lone timestamps.
        """
        spans = [self.sure] if self.sure else []
        others = [*others, *spans]
        usual = statistics.median_low(self._steps) if self._sure else 0.0
        margin, doubted = _pause_s(usual), 0
        for number, (first, last, packets) in enumerate(self._lone):
            if any(a - margin <= first and last <= b + margin for a, b in others):
                spans.append((first, last))
            elif number < self._leading:
                doubted += packets
        if not spans:
            longer = [run for run in self._lone if run[2] >= _RUN_PACKETS] or self._lone
            spans = [(first, last) for first, last, _ in longer]
        if not spans:
            return None
        # The first packets have their places in front of the others, whatever their timestamps.
        return min(first for first, _ in spans) - doubted * self._interval, max(last for _, last in spans)


@dataclasses.dataclass(frozen=True)
class Timeline:
    """Where the chosen sound and pictures of a file begin and end.

    Attributes:
        origin_s: Timestamp of the file, in seconds, that is time 0.
        sound_origin_s: Timestamp of the sound that is time 0; the same, unless the starts contradict each other.
        pictures_origin_s: The same of the pictures.
        sound_s: (start, end) of the sound in seconds from time 0; None without sound.
        pictures_s: (start, end) of the pictures in seconds from time 0; None without pictures.
    """

    origin_s: float
    sound_origin_s: float
    pictures_origin_s: float
    sound_s: tuple[float, float] | None
    pictures_s: tuple[float, float] | None

    @property
    def end_s(self) -> float:
        """End of the longer one of both."""
        return max((span[1] for span in (self.sound_s, self.pictures_s) if span), default=0.0)


def never_meet(span: tuple[float, float], other: tuple[float, float]) -> bool:
    """Returns whether two (start, end) have no time in common."""
    return span[1] <= other[0] or other[1] <= span[0]


def timeline(sound: tuple[float, float] | None, pictures: tuple[float, float] | None) -> Timeline:
    """Returns the timeline of a file.

    Args:
        sound: First believed timestamp and last believed end of the sound, in the file's seconds; None without sound.
        pictures: The same of the pictures.
    """
    starts = [span[0] for span in (sound, pictures) if span]
    origin = min(starts, default=0.0)
    if sound and pictures and 0 < pictures[0] - sound[0] <= _DELAY_SECONDS:
        origin = pictures[0]

    sound_origin = pictures_origin = origin
    if sound and pictures and never_meet(sound, pictures):
        sound_origin, pictures_origin = sound[0], pictures[0]
    return Timeline(
        origin,
        sound_origin,
        pictures_origin,
        (sound[0] - sound_origin, sound[1] - sound_origin) if sound else None,
        (pictures[0] - pictures_origin, pictures[1] - pictures_origin) if pictures else None,
    )


class Block(NamedTuple):
    """A block of decoded sound.

    Attributes:
        time_s: Timestamp in seconds from time 0; None if it has none.
        seconds: Duration.
    """

    time_s: float | None
    seconds: float


def place_blocks(
    blocks: Iterable[tuple[Block, Item]], *, start_s: float, confirmed_s: float, doubts: Doubts
) -> Iterator[tuple[float, Item]]:
    """Yields (start in seconds from time 0, item) of each block of sound, in the order of the blocks.

    Blocks that follow each other have exactly the distance of their durations. A later start is a gap, and an earlier
    one an overlap; both are yielded only where several timestamps confirm them.

    Args:
        blocks: Blocks in the order of decoding, each with any item.
        start_s: Believed start of the sound.
        confirmed_s: Time that another stream of the file reaches; it confirms the timestamp of a last block.
        doubts: Counts the timestamps that are not believed.
    """
    source, waiting = iter(blocks), collections.deque[tuple[Block, Item]]()
    clock, before, first = start_s, 0.0, True
    while (present := waiting.popleft() if waiting else next(source, None)) is not None:
        block, item = present
        step = 0.0 if block.time_s is None else block.time_s - clock
        large = abs(step) >= _GAP_SECONDS
        if large or abs(step - before) >= _STEP_SECONDS or first:
            _read_until(_SOUND_WITNESSES, waiting, source)
            steps = _steps(waiting, clock + block.seconds)
            if first and block.time_s is not None:
                other = statistics.median(steps[:_STEP_WITNESSES] or [step])
                believed = not large or abs(step - other) < _GAP_SECONDS
            elif large:
                believed, other = _is_confirmed(step, steps, block, clock, confirmed_s), 0.0
            else:
                near = [abs(later - step) < _STEP_AGREES_SECONDS for later in steps[:_STEP_WITNESSES]]
                believed, other = len(near) == _STEP_WITNESSES and all(near), 0.0
            if believed:
                clock, before = clock + step, 0.0
            else:
                clock += other
                if large or first:
                    doubts.add(step - other)
                    before = 0.0
                else:
                    before = step
        else:
            before = step
        first = False
        yield clock, item
        clock += block.seconds


def _read_until(count: int, waiting: collections.deque[Item], source: Iterator[Item]) -> None:
    """Adds items of a source until so many are waiting."""
    waiting.extend(itertools.islice(source, max(0, count - len(waiting))))


def _steps(blocks: Iterable[tuple[Block, Item]], clock: float) -> list[float]:
    """Returns the distances between the timestamps of blocks and the times at which they would follow each other."""
    steps = []
    for block, _ in blocks:
        if block.time_s is not None:
            steps.append(block.time_s - clock)
        clock += block.seconds
    return steps


def _is_confirmed(step: float, steps: Sequence[float], block: Block, clock: float, confirmed_s: float) -> bool:
    """Returns whether the later timestamps stay where one of them jumped to, instead of coming back."""
    back = [abs(later) < _GAP_SECONDS for later in steps]
    if any(map(all, zip(back, back[1:], back[2:], strict=False))):
        return False
    jumped = sum(later / step > 0.5 for later in steps)
    if steps and jumped <= len(steps) - jumped:
        return False
    if (len(steps) + 1) * block.seconds < _RUN_SECONDS:  # at the end of the stream
        return 0 < step and clock + step + block.seconds <= confirmed_s
    return True


def place_pictures(
    pictures: Iterable[tuple[float | None, Item]],
    *,
    start_s: float,
    confirmed_s: float,
    usual_s: float,
    doubts: Doubts,
) -> Iterator[tuple[float, Item]]:
    """Yields (start in seconds from time 0, item) of each picture, in the order of presentation.

    Args:
        pictures: (timestamp in seconds from time 0, or None; any item) in the order of presentation. One picture is
            read ahead, and some more after a doubtful timestamp.
        start_s: Believed start of the pictures.
        confirmed_s: Time that another stream of the file reaches; it confirms the timestamp of a last picture.
        usual_s: Stated interval from one picture to the next; it is used until three intervals are known.
        doubts: Counts the timestamps that are not believed.
    """
    source, waiting = iter(pictures), collections.deque[tuple[float | None, Item]]()
    intervals: collections.deque[float] = collections.deque(maxlen=15)
    before: float | None = None
    while (present := waiting.popleft() if waiting else next(source, None)) is not None:
        time, item = present
        if not waiting:
            _read_until(1, waiting, source)
        following = waiting[0][0] if waiting else None
        if (
            time is None
            or not waiting
            or before is None
            or not before <= time <= before + _PAUSE_SECONDS
            or (following is not None and following < time)
        ):
            usual = statistics.median(intervals) if len(intervals) >= 3 else usual_s
            _read_until(_PICTURE_WITNESSES, waiting, source)
            later = [other for other, _ in waiting if other is not None]
            if time is None or not _is_shown_then(
                time, before, later, start_s=start_s, confirmed_s=confirmed_s, usual=usual
            ):
                placed = _between(before, later, usual, start_s)
                if time is not None:
                    doubts.add(time - placed)
                time = placed
        if before is not None and time > before:
            intervals.append(time - before)
        before = time
        yield time, item


def _is_shown_then(
    time: float, before: float | None, later: Sequence[float], *, start_s: float, confirmed_s: float, usual: float
) -> bool:
    """Returns whether the timestamp of a picture is believed, by those of the pictures after it."""
    if before is None:
        if time < start_s - _START_SECONDS:
            return False
        before = start_s - usual
    elif time < before:  # The timestamps start again only if they stay behind.
        back = sum(other <= before for other in later)
        return back > len(later) - back
    # Pictures that belong between the one before and this one speak against it.
    against = [other for other in later if before < other < time - _SAME_TIME_SECONDS]
    if not against:
        return any(other >= time for other in later) or time <= max(confirmed_s, before + _pause_s(usual))
    # Of two pictures in the wrong order, the one nearer to its expected time is right.
    return len(against) == 1 and abs(time - before - usual) <= abs(against[0] - before - 2 * usual)


def _pause_s(usual: float) -> float:
    return max(_PAUSE_SECONDS, _USUAL_PAUSES * usual)


def _between(before: float | None, later: Sequence[float], usual: float, start_s: float) -> float:
    """Returns the time of a picture whose own timestamp is not known."""
    if before is None:
        middle = (len(later) - 1) // 2
        return max(start_s - usual, sorted(later)[middle] - usual * (middle + 1)) if later else start_s
    following = min((other for other in later if other > before), default=math.inf)
    return min(before + usual, (before + following) / 2)
