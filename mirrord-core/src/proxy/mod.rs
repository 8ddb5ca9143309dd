//! The local proxy's mind: who waits for what, who holds a port, when a session ends. The time is told to it.
