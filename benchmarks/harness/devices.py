"""Computes the cost of a training step on accelerators from their vendors' figures.

Nothing here was measured. Rates are published peaks without sparsity; assumptions are named ASSUMED.
Sources: NVIDIA's datasheets of the H100 (SXM5) and the DGX H100 (one 400 Gbit/s adapter per GPU); Google Cloud's pages
"TPU v5e" and "TPU v5p" (docs.cloud.google.com/tpu/docs).
"""

from typing import NamedTuple


class Device(NamedTuple):
    """One accelerator.

    Attributes:
        name: Name of the product.
        memory_gb: Memory in units of 1e9 bytes.
        float32_flops: Operations per second with float32 arguments at JAX's default precision: TF32 on the H100,
            bfloat16 passes on a TPU.
        bfloat16_flops: Operations per second with bfloat16 arguments.
        memory_bytes: Bytes per second between memory and cores.
        link_bytes: Bytes per second and direction to the other devices of its group.
        group: Devices of a group.
        outer_bytes: Bytes per second and direction from each device to other groups.
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
    # An all-reduce on a torus uses all links of a chip at once. Between pods: 6.4 Tbit/s for 256 chips (v5e).
    Device("TPU v5e", 16, 197e12, 197e12, 819e9, 200e9, 256, 3.1e9),
    Device("TPU v5p", 95, 459e12, 459e12, 2765e9, 300e9, 8960, 3.1e9),
)
MEMORIES_GB = (16, 24, 40, 80)
# Assumptions: the achieved fraction of the peak rates, the usable fraction of memory, the latency of an all-reduce
# within a group, and the additional latency between groups.
ASSUMED_SHARE_OF_PEAK = 0.4
ASSUMED_USABLE_MEMORY = 0.9
ASSUMED_LATENCY_SECONDS = 10e-6
ASSUMED_OUTER_LATENCY_SECONDS = 50e-6


class Step(NamedTuple):
    """The work of one device in one training step.

    Attributes:
        mixtures: Mixtures per device.
        flops: Operations.
        moved_bytes: Bytes moved between memory and cores.
        reduced_bytes: Bytes averaged over all devices.
        reductions: All-reduces, which run one after another.
    """

    mixtures: int
    flops: float
    moved_bytes: float
    reduced_bytes: float
    reductions: int


def seconds_alone(step: Step, device: Device) -> tuple[float, float]:
    """Returns the least times for a float32 step's operations and for its memory traffic, at the peak rates."""
    return step.flops / device.float32_flops, step.moved_bytes / device.memory_bytes


def seconds_reducing(step: Step, device: Device, devices: int) -> float:
    """Returns the time of a step's all-reduces if nothing is computed meanwhile.

    In a ring every device sends 2 (n - 1) / n of the bytes. Between groups, each device then sends its share of them.
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
    """Returns the rate over `devices` times one device's rate, if no all-reduce overlaps with computation."""
    alone = max(seconds_alone(step, device)) / share_of_peak
    return alone / (alone + seconds_reducing(step, device, devices))


def largest_batch(fixed_bytes: float, bytes_per_mixture: float, memory_gb: float) -> int:
    """Returns the number of mixtures that fit into a device's memory."""
    return max(int((memory_gb * 1e9 * ASSUMED_USABLE_MEMORY - fixed_bytes) // bytes_per_mixture), 0)
