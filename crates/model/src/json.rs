//! A one-pass JSON checker and reader over bytes. Builds no tree and changes no byte.
