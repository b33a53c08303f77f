# SPDX-License-Identifier: GPL-2.0-only
"""kunit.py --arch iommu_sva_arm64: two CPUs, whatever the host has, for the races of the suites."""
from ..qemu_config import QemuArchParams

QEMU_ARCH = QemuArchParams(
    linux_arch='arm64',
    kconfig='CONFIG_SERIAL_AMBA_PL011=y\nCONFIG_SERIAL_AMBA_PL011_CONSOLE=y',
    qemu_arch='aarch64',
    kernel_path='arch/arm64/boot/Image',
    kernel_command_line='console=ttyAMA0',
    extra_qemu_params=['-machine', 'virt,gic-version=3', '-cpu', 'max,pauth-impdef=on', '-smp', '2',
                       '-accel', 'tcg,thread=multi'])
