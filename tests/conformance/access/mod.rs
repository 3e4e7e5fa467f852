//! Who may connect, and what they may do: the rows H01 to H17 of the checklist of attacks, logins
//! of every kind, and reloads. Each broker has a listener for whoever wants to look on, and one that
//! is guarded.

mod change;
mod cut;
mod hook;
mod login;
mod reload;
mod revoked;
mod rights;
mod scene;
mod startup;
mod tokens;
