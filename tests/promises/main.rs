//! The numbers of docs/promises.md.
