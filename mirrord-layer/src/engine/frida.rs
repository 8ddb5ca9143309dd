//! Inline hooks by frida-gum, for guests that find the C library's functions past our symbols.
