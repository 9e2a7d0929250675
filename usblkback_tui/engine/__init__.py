# SPDX-License-Identifier: MIT
"""Everything that happens without a screen: discovery, handshake, rings, images, and the few verbs people have."""
