//! The client commands as a user meets them: their help, their arguments, and a server's answers.

mod arguments;
mod server;
