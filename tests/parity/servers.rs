//! Servers as guests: they answer the pod's traffic, or hear it.
