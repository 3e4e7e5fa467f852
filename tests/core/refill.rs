//! refill
