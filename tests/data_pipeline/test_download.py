import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_pipeline import download
from data_pipeline.command import InputError
from data_pipeline.download import Options
from data_pipeline.sources import Place, music_list
from tests.support.repository import ROOT

SOLO = Path(__file__).parent / "sources" / "data" / "MUSIC_solo_part.json"

# Records its arguments, then does what a file named after the id says.
FAKE = f"""#!{sys.executable}
import json, os, pathlib, sys, time
here = pathlib.Path(__file__).parent
url = sys.argv[-1]
assert sys.argv[-2] == "--"
video = url.removeprefix("https://www.youtube.com/watch?v=")
with (here / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
answer = here / video
text = answer.read_text() if answer.exists() else ""
if text == "slow":
    pathlib.Path(video + ".mp4.part").write_text("half")
    time.sleep(60)
elif text == "nothing":
    pass
elif text:
    sys.stderr.write("WARNING: first\\n" + text + "\\n")
    sys.exit(1)
else:
    assert not pathlib.Path(video + ".mp4").exists()
    pathlib.Path(video + ".mp4").write_text("video")
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """The folder with the fake yt-dlp, first and alone on PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "yt-dlp").write_text(FAKE)
    (folder / "yt-dlp").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out 100% $HOME"


def options(out: Path, **changes) -> Options:
    return Options(**{"lists": (SOLO,), "out": out, "sleep_seconds": 0.0} | changes)


def called(tools: Path) -> list[str]:
    lines = (tools / "calls.jsonl").read_text().splitlines() if (tools / "calls.jsonl").exists() else []
    return [json.loads(line)[-1][-11:] for line in lines]


def states(out: Path) -> dict[str, str]:
    return {name: entry["state"] for name, entry in json.loads((out / "download.json").read_text())["videos"].items()}


def test_videos_come_by_class_and_the_source_finds_them(tools, out):
    (tools / "3wPouBFa9U0").write_text(
        "ERROR: [youtube] 3wPouBFa9U0: Private video. Sign in if you've been granted access"
    )
    (tools / "AKNt1SF-5VA").write_text("ERROR: [youtube] AKNt1SF-5VA: HTTP Error 503\nstack")
    (tools / "LKMBOuDkEqo").write_text("nothing")
    table, finished = download.download(options(out))
    assert finished
    assert [line.split() for line in table.splitlines()] == [
        ["class", "done", "gone", "failed", "not", "tried"],
        ["flute", "2", "1", "0", "0"],
        ["tuba", "2", "0", "2", "0"],
        ["all", "videos", "4", "1", "2", "0"],
    ]
    record = json.loads((out / "download.json").read_text())["videos"]
    assert record["-X4loU7hcpw"] == {"state": "done", "class": "tuba"}
    assert record["AKNt1SF-5VA"]["message"] == "ERROR: [youtube] AKNt1SF-5VA: HTTP Error 503"
    assert record["LKMBOuDkEqo"]["message"] == "yt-dlp ended with status 0 and left no video"
    assert sorted(path.name for path in out.iterdir()) == ["download.json", "flute", "tuba"]
    listing = music_list.find_videos(Place(out, lists=(SOLO,)))
    assert [video.id for video in listing.videos] == ["-X4loU7hcpw", "2tG4y_uyEAY", "eHbxLcoLWYY", "jW_AuF6dQYY"]
    assert {entry.reason for entry in listing.skipped.values()} == {"missing"}


def test_a_second_run_tries_what_failed_and_what_was_removed(tools, out):
    (tools / "3wPouBFa9U0").write_text("ERROR: Video unavailable. This video has been removed by the uploader")
    (tools / "AKNt1SF-5VA").write_text("ERROR: HTTP Error 503")
    download.download(options(out))
    (tools / "calls.jsonl").unlink()
    (out / "flute/jW_AuF6dQYY.mp4").unlink()
    (out / "flute/eHbxLcoLWYY.mp4").rename(out / "flute/eHbxLcoLWYY.3GP")
    (out / ".partial").mkdir()
    (out / ".partial/AKNt1SF-5VA.mp4").write_text("half")  # the fake refuses to find it
    (tools / "AKNt1SF-5VA").unlink()
    download.download(options(out))
    assert called(tools) == ["jW_AuF6dQYY", "AKNt1SF-5VA"]
    assert states(out) == dict.fromkeys(states(out), "done") | {"3wPouBFa9U0": "gone"}
    assert (out / "tuba/AKNt1SF-5VA.mp4").read_text() == "video"


def test_a_limit_and_videos_that_are_there_without_a_record(tools, out):
    (out / "flute").mkdir(parents=True)
    (out / "flute/jW_AuF6dQYY.mp4").touch()
    table, _ = download.download(options(out, limit=2))
    assert called(tools) == ["3wPouBFa9U0", "eHbxLcoLWYY"]
    assert [line.split()[1:] for line in table.splitlines()[1:3]] == [["3", "0", "0", "0"], ["0", "0", "0", "4"]]
    (out / "flute/jW_AuF6dQYY.mp4").unlink()
    assert "not tried" in download.download(options(out, limit=1))[0]
    assert states(out)["jW_AuF6dQYY"] == "done"


def test_arguments(tools, out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cookies.txt").touch()
    download.download(options(out, limit=1, cookies=Path("cookies.txt"), max_height=360))
    (tools / "ffmpeg").touch()
    (tools / "ffmpeg").chmod(0o755)
    download.download(options(out, limit=1))
    without, with_ffmpeg = (json.loads(line) for line in (tools / "calls.jsonl").read_text().splitlines())
    assert "--ignore-config" in without
    assert without[without.index("--cookies") + 1] == str(tmp_path / "cookies.txt")
    assert without[without.index("--format") + 1] == "b[height<=360][ext=mp4]/b[height<=360]"
    assert without[-2:] == ["--", "https://www.youtube.com/watch?v=jW_AuF6dQYY"]
    assert with_ffmpeg[with_ffmpeg.index("--merge-output-format") + 1] == "mp4"
    assert "bv*[height<=480]" in with_ffmpeg[with_ffmpeg.index("--format") + 1]
    assert "--cookies" not in with_ffmpeg


def test_it_waits_between_videos_only(tools, out, monkeypatch):
    pauses = []
    # Not time.sleep itself, because subprocess uses it, too.
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic))
    download.download(options(out, limit=3, sleep_seconds=7))
    assert pauses == [7, 7]


GONE = (
    "Private video. Sign in if you've been granted access to this video",
    "Video unavailable. This video is private",
    "This video is private",
    "Video unavailable. This video has been removed by the uploader",
    "This video has been removed for violating YouTube's Terms of Service",
    "Video unavailable. This video is no longer available because the uploader has closed their YouTube account.",
    "This video is no longer available because the YouTube account associated with this video has been terminated.",
    "Video unavailable. This video is no longer available due to a copyright claim by X",
    "Video unavailable. The account associated with this video has been terminated.",
)
FAILED = (
    "Video unavailable",
    "Video unavailable. This video is restricted. Please check the network administrator restrictions.",
    "Video unavailable. The following content is not available on this app.",
    "Video unavailable. This video is not available",
    "Video unavailable. This video is no longer available",
    "Video unavailable. This content isn't available, try again later.",
    "Video unavailable. The uploader has not made this video available in your country",
    "Video unavailable. This video contains content from X, who has blocked it on copyright grounds",
    "Sign in to confirm you\u2019re not a bot.",
    "Sign in to confirm your age",
    "Join this channel to get access to members-only content like this video",
    "Unable to download API page: HTTP Error 403: Your account has been closed",
    "unable to download video data: HTTP Error 403: Forbidden",
)


@pytest.mark.parametrize(
    ("message", "state"), [*((text, "gone") for text in GONE), *((text, "failed") for text in FAILED)]
)
def test_what_is_gone_and_what_may_come_back(tools, out, message, state):
    (tools / "jW_AuF6dQYY").write_text(f"ERROR: [youtube] jW_AuF6dQYY: {message}", encoding="utf-8")
    download.download(options(out, limit=1))
    assert states(out) == {"jW_AuF6dQYY": state}


def test_many_failures_in_a_row_stop_it_and_the_next_run_goes_on_with_the_others(tools, out, tmp_path):
    ids = [f"id_{number:08d}" for number in range(30)]
    (tmp_path / "list.json").write_text(json.dumps({"videos": {"flute": ids}}))
    for video in ids[5:]:
        (tools / video).write_text(f"ERROR: [youtube] {video}: Video unavailable. This video is restricted.")
    table, finished = download.download(options(out, lists=(tmp_path / "list.json",)))
    assert not finished
    assert table.splitlines()[1].split() == ["flute", "5", "0", "10", "15"]
    assert called(tools) == ids[:15]
    for expected in (ids[15:25], ids[25:] + ids[5:10], ids[10:20]):
        (tools / "calls.jsonl").unlink()
        table, finished = download.download(options(out, lists=(tmp_path / "list.json",)))
        assert not finished
        assert called(tools) == expected
    assert table.splitlines()[1].split() == ["flute", "5", "0", "25", "0"]


def test_what_an_earlier_version_called_gone_is_tried_once_more(tools, out):
    out.mkdir()
    old = {"state": "gone", "class": "flute", "message": "ERROR: Video unavailable"}
    record = {"videos": {"jW_AuF6dQYY": old, "3wPouBFa9U0": old, "eHbxLcoLWYY": old}}
    (out / "download.json").write_text(json.dumps(record))
    (tools / "3wPouBFa9U0").write_text("ERROR: [youtube] 3wPouBFa9U0: Video unavailable. This video is private")
    (tools / "eHbxLcoLWYY").write_text("ERROR: [youtube] eHbxLcoLWYY: Video unavailable")
    download.download(options(out))
    outcome = {"jW_AuF6dQYY": "done", "3wPouBFa9U0": "gone", "eHbxLcoLWYY": "failed"}
    assert {name: states(out)[name] for name in outcome} == outcome
    (tools / "calls.jsonl").unlink()
    download.download(options(out))
    assert called(tools) == ["eHbxLcoLWYY"]


def test_a_video_that_takes_too_long(tools, out, monkeypatch):
    (tools / "jW_AuF6dQYY").write_text("slow")
    monkeypatch.setattr(download, "_LONGEST_SECONDS", 1)
    download.download(options(out, limit=1))
    assert json.loads((out / "download.json").read_text())["videos"]["jW_AuF6dQYY"]["message"] == "took longer than 1 s"
    assert (out / ".partial/jW_AuF6dQYY.mp4.part").exists()


def test_without_yt_dlp(out, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="yt-dlp is not installed; install it with `pip install yt-dlp`"):
        download.download(options(out))
    assert not out.exists()


@pytest.mark.parametrize(
    ("videos", "sentence"),
    [
        (
            {"flute": ["jW_AuF6dQYY", "jW_AuF6dQY", "--exec=reboot"]},
            r"'jW_AuF6dQY', '--exec=reboot' cannot be YouTube ids",
        ),
        ({"flute": ["jW_AuF6dQY\n"]}, "cannot be YouTube ids"),
        ({"../flute": ["jW_AuF6dQYY"]}, r"class '\.\./flute' cannot be a folder's name"),
        ({"a/flute": ["jW_AuF6dQYY"]}, "cannot be a folder's name"),
        ({".flute": ["jW_AuF6dQYY"]}, "cannot be a folder's name"),
    ],
)
def test_odd_lists_are_refused(tools, out, tmp_path, videos, sentence):
    (tmp_path / "list.json").write_text(json.dumps({"videos": videos}))
    with pytest.raises(InputError, match=sentence):
        download.download(options(out, lists=(tmp_path / "list.json",)))
    assert called(tools) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lists": ()}, "--list= names no file"),
        ({"cookies": Path("nowhere.txt")}, r"--cookies=nowhere\.txt is not a file"),
        ({"sleep_seconds": -1.0}, "--sleep_seconds=-1 must be 0 to 3600"),
        ({"sleep_seconds": float("nan")}, "--sleep_seconds=nan must be"),
        ({"limit": -1}, "--limit=-1 must be 0"),
        ({"max_height": 0}, "--max_height=0 must be at least 1"),
    ],
)
def test_bad_options_are_refused(out, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        options(out, **changes)


@pytest.mark.parametrize("content", ["{", "[]", '{"videos": []}', '{"videos": {"a": 1}}'])
def test_a_bad_record_is_refused(tools, out, content):
    out.mkdir()
    (out / "download.json").write_text(content)
    with pytest.raises(InputError, match=r"download\.json is no"):
        download.download(options(out))


def test_a_folder_in_use_or_none_is_refused(tools, out, tmp_path):
    (out / ".partial").mkdir(parents=True)
    with (out / ".partial/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(InputError, match="another run downloads to --out="):
            download.download(options(out))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is not a folder; choose another"):
        download.download(options(tmp_path / "file"))


# Programs that a shell starts in the background, such as this test's, ignore interrupts; this restores the default.
LISTENING = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('data_pipeline.download', run_name='__main__', alter_sys=True)"
)


@pytest.mark.e2e
def test_the_command_is_stopped_and_goes_on(tools, out):
    (tools / "eHbxLcoLWYY").write_text("slow")
    command = [sys.executable, "-c", LISTENING, f"--list={SOLO}", f"--out={out}", "--sleep_seconds=0"]
    run = {"cwd": ROOT, "text": True}
    # A new session, in which the signal reaches yt-dlp, too, as from a terminal.
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, **run)
    deadline = time.monotonic() + 60
    while not (out / ".partial/eHbxLcoLWYY.mp4.part").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert "interrupted; the same command resumes" in process.communicate(timeout=60)[1].splitlines()[-1]
    assert process.returncode == 130
    assert states(out) == {"jW_AuF6dQYY": "done", "3wPouBFa9U0": "done"}
    (tools / "eHbxLcoLWYY").write_text("ERROR: HTTP Error 503")
    again = subprocess.run(command, capture_output=True, timeout=60, check=False, **run)
    assert again.returncode == 0, again.stderr
    assert "2 of 7 videos are there, 5 to try" in again.stderr
    assert "3 of 5: tuba/LKMBOuDkEqo done, about 0 min left" in again.stderr
    assert again.stdout.splitlines()[-1].split() == ["all", "videos", "6", "0", "1", "0"]
    bad = subprocess.run([*command, "--max_height=0"], capture_output=True, timeout=60, check=False, **run)
    assert (bad.returncode, bad.stderr) == (2, "error: --max_height=0 must be at least 1; try 480\n")


@pytest.mark.e2e
def test_the_command_fails_when_it_stops_early(tools, out, tmp_path):
    ids = [f"id_{number:08d}" for number in range(12)]
    (tmp_path / "list.json").write_text(json.dumps({"videos": {"flute": ids}}))
    for video in ids:
        (tools / video).write_text("ERROR: no network")
    command = [sys.executable, "-m", "data_pipeline.download", f"--list={tmp_path / 'list.json'}", f"--out={out}"]
    result = subprocess.run([*command, "--sleep_seconds=0"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "stopped, since 10 videos in a row failed" in result.stderr
    assert result.stdout.splitlines()[-1].split() == ["all", "videos", "0", "0", "10", "2"]
