# SPDX-License-Identifier: MIT
"""What a backend asks of its hypervisor: ``seam`` says what, each other module is one hypervisor."""
