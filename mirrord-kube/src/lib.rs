//! What is asked of a cluster, in one page.
