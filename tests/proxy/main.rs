//! Floor 2: the real proxy between scripted layers and a scripted agent.
