//! Floor 3: every guest does outside what it does inside the pod.
