"""Accelerators by their makers' figures, and what a training step costs on them by arithmetic alone.

Nothing here was measured. Rates are the peaks that the makers publish, without sparsity; what is assumed is called so.
Sources: NVIDIA's datasheets of the H100 (SXM5) and of the DGX H100 (a 400 Gbit/s adapter a GPU); Google Cloud's pages
"TPU v5e" and "TPU v5p" (docs.cloud.google.com/tpu/docs).
"""

from typing import NamedTuple


class Device(NamedTuple):
    """One accelerator.

    Attributes:
        name: of it.
        memory_gb: 1e9 bytes.
        float32_flops: a second, of products and convolutions with float32 arguments at JAX's default precision: TF32 on
            the H100, bfloat16 passes on a TPU.
        bfloat16_flops: a second, with bfloat16 arguments.
        memory_bytes: a second, between memory and cores.
        link_bytes: a second and direction, to the other devices of its group.
        group: devices that are linked so closely.
        outer_bytes: a second and direction, from each device of a group to other groups.
    """

    name: str
    memory_gb: float
    float32_flops: float
    bfloat16_flops: float
    memory_bytes: float
    link_bytes: float
    group: int
    outer_bytes: float


DEVICES = (
    Device("H100 SXM", 80, 494.7e12, 989.4e12, 3.35e12, 450e9, 8, 50e9),
    # Torus all-reduces run over all links of a chip at once. Between pods: 6.4 Tbit/s for 256 chips (v5e).
    Device("TPU v5e", 16, 197e12, 197e12, 819e9, 200e9, 256, 3.1e9),
    Device("TPU v5p", 95, 459e12, 459e12, 2765e9, 300e9, 8960, 3.1e9),
)
MEMORIES_GB = (16, 24, 40, 80)
# Assumed: what a device reaches of its peaks, what its system keeps of its memory, and how long the smallest
# all-reduce takes within a group and beyond it.
ASSUMED_SHARE_OF_PEAK = 0.4
ASSUMED_USABLE_MEMORY = 0.9
ASSUMED_LATENCY_SECONDS = 10e-6
ASSUMED_OUTER_LATENCY_SECONDS = 50e-6


class Step(NamedTuple):
    """What one device does in one training step.

    Attributes:
        mixtures: its share of the batch.
        flops: of it.
        moved_bytes: between memory and cores.
        reduced_bytes: averaged over all devices.
        reductions: all-reduces that wait for one another.
    """

    mixtures: int
    flops: float
    moved_bytes: float
    reduced_bytes: float
    reductions: int


def seconds_alone(step: Step, device: Device) -> tuple[float, float]:
    """Least time for the operations of a float32 step, and for its traffic to memory, at the device's peaks."""
    return step.flops / device.float32_flops, step.moved_bytes / device.memory_bytes


def seconds_reducing(step: Step, device: Device, devices: int) -> float:
    """Time of a step's all-reduces over some devices, when nothing is computed meanwhile.

    In a ring every device sends twice (n - 1) / n of the bytes; beyond a group, each device then sends its share of
    them over its way out.
    """
    if devices == 1:
        return 0.0
    within = min(devices, device.group)
    groups = -(-devices // device.group)
    seconds = 2 * (within - 1) / within * step.reduced_bytes / device.link_bytes
    latency = ASSUMED_LATENCY_SECONDS
    if groups > 1:
        seconds += 2 * (groups - 1) / groups * step.reduced_bytes / within / device.outer_bytes
        latency += ASSUMED_OUTER_LATENCY_SECONDS
    return seconds + step.reductions * latency


def efficiency(step: Step, device: Device, devices: int, *, share_of_peak: float) -> float:
    """Share of `devices` times one device's rate that is left, when no all-reduce hides behind computation."""
    alone = max(seconds_alone(step, device)) / share_of_peak
    return alone / (alone + seconds_reducing(step, device, devices))


def largest_batch(fixed_bytes: float, bytes_per_mixture: float, memory_gb: float) -> int:
    """Mixtures that fit a device's memory."""
    return max(int((memory_gb * 1e9 * ASSUMED_USABLE_MEMORY - fixed_bytes) // bytes_per_mixture), 0)
