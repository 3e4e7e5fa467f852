//! A client proves again who it is, on a live connection (4.12.1): packets go on flowing meanwhile,
//! and what the connection was allowed until now it still is.
//!
//! ```text
//!   AUTH 0x19 ──▶ Due ──AUTH 0x18──▶ Checked ──Authenticated──▶ AUTH 0x00: a new expiry
//!                  └─────────────────────┴── DISCONNECT: it has failed [MQTT-4.12.1-2]
//! ```

use skein_protocol::{Error, ReasonCode, packet::Auth};

use super::{
    ConnectionId, Login, NoticeLevel, Shard, Time, Turn,
    authenticate::{auth, seen_below},
    respond::Violation,
    rights::Proof,
};
use crate::{
    access::{
        Denial, Identity,
        provider::{Outcome, Work},
    },
    session::SessionKey,
};

impl Shard {
    /// AUTH on a live connection.
    pub(super) fn on_auth(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        packet: &Auth<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.check_user_properties(packet.properties.user_properties)?;
        let rights = self.rights.find_mut(key);
        let Some((rights, method)) = rights.and_then(|rights| {
            let method = rights.method.clone()?;
            Some((rights, method))
        }) else {
            return Err(Error::AuthWithoutMethod.into());
        };
        if packet.properties.method != Some(&*method) {
            return Err(Error::AuthMethodChanged.into());
        }
        let data = packet.properties.data.unwrap_or_default();
        match (packet.reason, rights.proof.take().map(|proof| *proof)) {
            (ReasonCode::ReAuthenticate, None) => {
                self.challenge_again(id, key, &method, data, turn)
            }
            (ReasonCode::ContinueAuthentication, Some(Proof::Due(exchange))) => {
                rights.proof = Some(Box::new(Proof::Checked));
                let Some(connection) = self.connections.find(id) else { return Ok(()) };
                let credentials = seen_below(connection, &self.sessions.at(key).client_id);
                let work = Work::prove(exchange, data, credentials);
                turn.effects.logins.push(Login {
                    connection: id,
                    listener: connection.listener,
                    work,
                });
                Ok(())
            }
            _ => Err(Error::AuthUnexpected.into()),
        }
    }

    fn challenge_again(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        method: &str,
        data: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        match self.challenge(id, method, data) {
            Ok((exchange, question)) => {
                let auth = auth(ReasonCode::ContinueAuthentication, method, Some(&question));
                self.check_answer(id, &auth)?;
                self.write(id, &auth, turn);
                if let Some(rights) = self.rights.find_mut(key) {
                    rights.proof = Some(Box::new(Proof::Due(exchange)));
                }
            }
            Err(denial) => self.end_unproved(id, &denial, turn),
        }
        Ok(())
    }

    pub(super) fn finish_reauthentication(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        outcome: Outcome,
        expires_at: Option<Time>,
        turn: &mut Turn<'_>,
    ) {
        let rights = self.rights.find_mut(key);
        let is_asked =
            rights.is_some_and(|rights| matches!(rights.proof.as_deref(), Some(Proof::Checked)));
        if !is_asked {
            self.metrics.late_replies += 1;
            return;
        }
        match outcome.result {
            Ok(identity) => {
                let data = outcome.data.as_deref();
                self.accept_proof((id, key), identity, expires_at, data, turn);
            }
            Err(denial) => self.end_unproved(id, &denial, turn),
        }
    }

    fn accept_proof(
        &mut self,
        (id, key): (ConnectionId, SessionKey),
        identity: Identity,
        expires_at: Option<Time>,
        data: Option<&[u8]>,
        turn: &mut Turn<'_>,
    ) {
        let is_same = self.owner(key) == identity.user_name.as_deref();
        let objection = if is_same { self.revocation(id, &identity) } else { Some(ANOTHER_USER) };
        if let Some(text) = objection {
            self.notice_of(NoticeLevel::Warning, "login-refused", id, text, turn);
            self.disconnect(id, &Violation::new(ReasonCode::NotAuthorized, text), turn);
            return;
        }
        self.renew_identity(id, key, identity, expires_at);
        let method = self.rights.find(key).and_then(|rights| rights.method.clone());
        let answer = auth(ReasonCode::Success, method.as_deref().unwrap_or_default(), data);
        if let Err(violation) = self.check_answer(id, &answer) {
            self.punish(id, &violation, turn);
            return;
        }
        self.notice_of(NoticeLevel::Debug, "reauthenticated", id, "proved again who it is", turn);
        self.write(id, &answer, turn);
    }

    /// The proof has failed: DISCONNECT says so and the connection ends [MQTT-4.12.1-2].
    fn end_unproved(&mut self, id: ConnectionId, denial: &Denial, turn: &mut Turn<'_>) {
        self.metrics.logins_refused += 1;
        self.notice_of(NoticeLevel::Warning, "login-refused", id, &denial.to_string(), turn);
        // Of what CONNACK may say, DISCONNECT knows little [MQTT-3.14.2-1].
        let reason = match denial.reason_code() {
            reason @ (ReasonCode::BadAuthenticationMethod | ReasonCode::ServerBusy) => reason,
            _ => ReasonCode::NotAuthorized,
        };
        self.disconnect(id, &Violation::new(reason, denial.reason()), turn);
    }
}

const ANOTHER_USER: &str = "a connection stays with the user that it began with";
