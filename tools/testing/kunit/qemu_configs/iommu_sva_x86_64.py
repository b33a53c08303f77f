# SPDX-License-Identifier: GPL-2.0-only
"""
kunit.py --arch iommu_sva_x86_64: two CPUs, whatever the host has, for the races of the suites. The parameters
are for hosts that are busy, see machine_q35() of scripts/test/boot.
"""
from ..qemu_config import QemuArchParams

QEMU_ARCH = QemuArchParams(
    linux_arch='x86_64',
    kconfig='CONFIG_SERIAL_8250=y\nCONFIG_SERIAL_8250_CONSOLE=y',
    qemu_arch='x86_64',
    kernel_path='arch/x86/boot/bzImage',
    kernel_command_line='console=ttyS0 no_timer_check tsc=reliable',
    extra_qemu_params=['-machine', 'q35', '-smp', '2', '-accel', 'tcg,thread=multi'])
