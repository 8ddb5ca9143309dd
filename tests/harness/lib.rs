//! The words in which stories are told.
