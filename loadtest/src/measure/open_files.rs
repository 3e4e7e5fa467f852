//! How many files the load test may have open: each connection is one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as it goes without privileges. Whoever needs more sees the error of the
/// connection that is one too many.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn afterwards_the_limit_is_as_high_as_it_goes() {
        raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
