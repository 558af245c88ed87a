//! Calls to one repository of one registry: redirects, authentication, what a status means, trying again.

use std::sync::{Mutex, PoisonError};

use glowplug_core::{Error, Result};
use ureq::Agent;
use ureq::http::{Method, Request};

use crate::access::{Access, Patience};
use crate::address::{self, join, origin};
use crate::attempts::{Failure, retry};
use crate::authentication::Question;
use crate::credentials::{Found, Secret};
use crate::http::{Answer, Body, Watch, agent, exchange};
use crate::limits::{MAX_ANSWER_BYTES, MAX_REDIRECTS};
use crate::reference::is_loopback;
use crate::{Reference, faults};

/// Nothing to tell of what was sent.
pub(crate) const UNTOLD: &dyn Fn(u64) = &|_| {};

/// One request as the API has it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `GET`, `HEAD`, `POST`, `PUT` or `PATCH`.
    pub method: Method,
    /// The whole address.
    pub url: String,
    /// Headers besides those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent.
    pub body: Body,
    /// Statuses that the caller knows what to do with.
    pub expects: &'static [u16],
    /// What it is for, as it follows `cannot`.
    pub what: String,
}

/// A registry, asked about one repository.
pub(crate) struct Session<'a> {
    /// What is asked for.
    pub reference: &'a Reference,
    /// Whether to go on.
    pub watch: Watch<'a>,
    access: &'a Access,
    agent: Agent,
    root: String,
    scopes: Vec<String>,
    identity: Mutex<Identity>,
}

/// Who we are to the registry, as far as it has asked.
#[derive(Default)]
struct Identity {
    /// Looked up when the registry first asks.
    found: Option<Found>,
    /// The value of `Authorization`.
    authorization: Option<Secret>,
}

impl<'a> Session<'a> {
    /// Nothing is asked yet. `scopes` are in the words of the token protocol: `repository:NAME:pull`.
    pub(crate) fn new(
        reference: &'a Reference,
        scopes: Vec<String>,
        access: &'a Access,
        watch: Watch<'a>,
    ) -> Result<Self> {
        let host = reference.host();
        let plain = access.plain_http.unwrap_or_else(|| is_loopback(host));
        let scheme = if plain { "http" } else { "https" };
        Ok(Self {
            reference,
            watch,
            access,
            agent: agent(access, host)?,
            root: format!("{scheme}://{host}"),
            scopes,
            identity: Mutex::default(),
        })
    }

    /// An address below the repository's: `manifests/latest`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.root, self.reference.repository())
    }

    /// How often to try.
    pub(crate) fn patience(&self) -> &'a Patience {
        &self.access.patience
    }

    /// A call, tried again where that makes sense.
    pub(crate) fn call(&self, call: &Call) -> Result<Answer> {
        retry(self.patience(), self.watch, || self.once(call, UNTOLD))
            .map_err(|error| faults::within(&call.what, error))
    }

    /// A call and the whole of its answer; `None` where that is longer than `limit`.
    pub(crate) fn read(&self, call: &Call, limit: u64) -> Result<(Answer, Option<Vec<u8>>)> {
        retry(self.patience(), self.watch, || {
            let answer = self.once(call, UNTOLD)?;
            let body = answer.read(limit, self.watch)?;
            Ok((answer, body))
        })
        .map_err(|error| faults::within(&call.what, error))
    }

    /// One attempt at a call. The error says nothing of what the call is for.
    pub(crate) fn once(&self, call: &Call, moved: &dyn Fn(u64)) -> Result<Answer, Failure> {
        let mut url = call.url.clone();
        let mut asked = false;
        let mut redirects = 0;
        loop {
            let own = origin(&url) == origin(&self.root);
            let used = if own { self.authorization() } else { None };
            let answer =
                exchange(&self.agent, request(call, &url, used.as_ref())?, &call.body, self.watch, moved)?;
            if call.expects.contains(&answer.status) {
                return Ok(answer);
            }
            if answer.status == 401 && own && !asked && self.authenticate(&answer, used.as_ref())? {
                asked = true;
                continue;
            }
            let Some(target) = redirect(call, &answer)? else { return Err(self.refused(&answer)) };
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                return Err(Failure::Final(
                    Error::surroundings("the registry redirects without end")
                        .place(address::without_query(&call.url))
                        .cause(format!("after {MAX_REDIRECTS} redirects it still does")),
                ));
            }
            url = target;
        }
    }

    fn authorization(&self) -> Option<Secret> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).authorization.clone()
    }

    /// Answers a challenge; whether there is something to ask with now that was not asked with before.
    fn authenticate(&self, answer: &Answer, used: Option<&Secret>) -> Result<bool, Failure> {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if identity.authorization.as_ref() != used {
            // Another transfer has answered it meanwhile.
            return Ok(true);
        }
        if identity.found.is_none() {
            identity.found = Some(self.access.credentials.find(self.reference, self.watch.progress)?);
        }
        let question = Question {
            agent: &self.agent,
            registry: self.reference.registry(),
            root: &self.root,
            scopes: &self.scopes,
            found: identity.found.as_ref(),
            watch: self.watch,
        };
        let authorization = question.answer(answer)?;
        let new = authorization.is_some() && authorization.as_ref() != used;
        identity.authorization = authorization;
        Ok(new)
    }

    /// A status that nobody expected.
    fn refused(&self, answer: &Answer) -> Failure {
        // What is not read in full is not worth showing.
        let body = match answer.read(MAX_ANSWER_BYTES, self.watch) {
            Ok(body) => body.unwrap_or_default(),
            Err(Failure::Final(error)) => return Failure::Final(error),
            Err(Failure::Passing { .. }) => Vec::new(),
        };
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        faults::status(answer, &body, identity.found.as_ref(), self.reference.registry())
    }
}

fn request(call: &Call, url: &str, authorization: Option<&Secret>) -> Result<Request<()>, Failure> {
    let mut request = Request::builder().method(call.method.clone()).uri(url);
    for (name, value) in &call.headers {
        request = request.header(*name, value);
    }
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization.reveal());
    }
    request.body(()).map_err(|_| {
        // The cause would quote the header.
        Failure::Final(
            Error::surroundings("the address or a header cannot be written in HTTP")
                .place(address::without_query(url)),
        )
    })
}

/// Where an answer sends us. Only 307 and 308 say that a request with a body is to be repeated as it was.
fn redirect(call: &Call, answer: &Answer) -> Result<Option<String>, Failure> {
    let repeats = matches!(answer.status, 307 | 308);
    let reads = matches!(answer.status, 301..=303) && matches!(call.method, Method::GET | Method::HEAD);
    let Some(location) = answer.header("location").filter(|_| repeats || reads) else { return Ok(None) };
    let target = join(&answer.url, location)?;
    if answer.url.starts_with("https:") && !target.starts_with("https:") {
        return Err(Failure::Final(
            Error::surroundings("the registry redirects from HTTPS to plain HTTP")
                .place(address::without_query(&target))
                .cause("what is fetched there could be read and changed on the way"),
        ));
    }
    Ok(Some(target))
}
