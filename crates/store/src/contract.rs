//! The laws every engine obeys, as a test suite.
