//! A session whose rights become others: its client has shown credentials, or the access file was changed.

use super::answers::{Authentication, Resubscribed};
use super::reads::Read;
use super::{Outbox, Session, label};
use crate::access::Grant;
use crate::guard::AdmissionError;
use crate::node::Interest;
use crate::protocol;
use crate::protocol::{Code, Failure, RequestId, RequestKind, SubName};

impl Session {
    /// The answer to an AUTH. Credentials that are no good leave the session as it is.
    pub(super) fn authenticated(
        &mut self,
        id: Option<&RequestId>,
        admitted: Authentication,
        outbox: &mut Outbox,
    ) {
        self.is_authenticating = false;
        let kind = RequestKind::Auth;
        let admitted = admitted.and_then(|admission| match self.admission.may_become(&admission) {
            true => self.reseat(admission.grant()).map(|()| admission),
            false => {
                let message = "this session is somebody else's: open another one";
                Err(Failure::new(Code::Forbidden, message))
            }
        });
        self.node
            .count(label(Some(kind)), admitted.as_ref().map(drop));
        match admitted {
            Err(failure) => {
                outbox.push_answer(protocol::error(id, Some(kind), &failure), None);
            }
            Ok(admission) => {
                let answer = protocol::authenticated(id, &admission.shown());
                outbox.push_answer(answer, None);
                self.admission = admission;
                self.go_by_grant();
            }
        }
    }

    /// Takes a seat of whom this grant is, in place of the one there is.
    fn reseat(&mut self, grant: &Grant) -> Result<(), Failure> {
        self.node.granting(grant.clone()).reseat(&mut self.seat)
    }

    /// Takes in that the credentials have expired, or that the rules are others.
    pub(super) fn go_by_admission(
        &mut self,
        changed: Result<(), AdmissionError>,
        outbox: &mut Outbox,
    ) {
        match changed {
            Ok(()) => self.go_by_grant(),
            Err(refusal) => {
                let failure = Failure::from(refusal);
                outbox.push(protocol::error(None, None, &failure), None);
                self.end = Some(failure.code.as_end());
            }
        }
    }

    /// Goes by the grant of now. What is told by rules that see otherwise is told no longer, and begins anew.
    fn go_by_grant(&mut self) {
        let grant: Grant = self.admission.grant().clone();
        let is_same_sight = self.node.grant().sees_as(&grant);
        // Who has too many sessions for its limits of now keeps those that are open.
        let _ = self.reseat(&grant);
        self.node = self.node.granting(grant);
        self.answers.go_by(&self.node);
        if is_same_sight {
            return;
        }
        let had_changes = self.listener.interest() == Interest::Changes;
        self.listener.leave_changes(self.node.grant().hears());
        if had_changes {
            self.subscriptions.add_default();
        }
        for sub in self.subscriptions.names() {
            self.begin_anew(sub.as_ref());
        }
    }

    /// Ends a subscription for now, and asks for it again by the rules of now.
    pub(super) fn begin_anew(&mut self, sub: Option<&SubName>) {
        if let Some(asked) = self.subscriptions.suspend(sub) {
            let wakeup = self.subscriptions.wakeup();
            let read = Read::Resubscribe(sub.cloned(), Box::new(asked), wakeup);
            self.answers.push(self.read(None, read), 0);
        }
    }

    /// A subscription begins anew, unless its client has ended it meanwhile.
    pub(super) fn resume_subscription(&mut self, resubscribed: Resubscribed, outbox: &mut Outbox) {
        let Resubscribed { sub, grant, opened } = resubscribed;
        // Another one is on its way.
        if !grant.sees_as(self.node.grant()) {
            return;
        }
        match opened {
            Ok(subscription) => {
                let reset = protocol::reset(protocol::ACCESS_CHANGED, subscription.seq());
                if self.subscriptions.resume(sub.as_ref(), subscription) {
                    let reset = match &sub {
                        Some(sub) => reset.for_subscription(sub),
                        None => reset,
                    };
                    outbox.push(reset, None);
                }
            }
            Err(failure) => {
                let is_there = self.subscriptions.abandon(sub.as_ref());
                let error = protocol::error(None, Some(RequestKind::Subscribe), &failure);
                match sub {
                    Some(sub) if is_there => outbox.push(error.for_subscription(&sub), None),
                    Some(_) => {}
                    None => {
                        outbox.push(protocol::error(None, None, &failure), None);
                        self.end = Some(failure.code.as_end());
                    }
                }
            }
        }
    }
}
