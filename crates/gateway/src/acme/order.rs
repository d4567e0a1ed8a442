//! One order (RFC 8555 section 7.4): prove each name, then have the certificate signed.

use super::Problem;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use net::tls::Challenges;
use std::time::Duration;

/// How long the authority may take to look at the names, and then to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(180));

/// What the authority gave, in PEM.
pub(super) struct Certificate {
    pub(super) key: String,
    pub(super) chain: String,
}

/// Orders a certificate for `domains`. What the authority is to be shown is left in `challenges`.
pub(super) async fn place(
    account: &Account,
    domains: &[String],
    challenges: &Challenges,
) -> Result<Certificate, Problem> {
    let identifiers: Vec<_> = domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    prove(&mut order, challenges).await?;
    // What went wrong is in the order with some authorities, in its parts with others.
    let ready = order.poll_ready(&PATIENCE).await;
    if !matches!(ready, Ok(OrderStatus::Ready)) {
        if let Some(problem) = refused(&mut order).await {
            return Err(problem);
        }
        ready?;
        return Err(Problem("the authority refused the order and did not say why".to_owned()));
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(Certificate { key, chain })
}

async fn prove(order: &mut Order, challenges: &Challenges) -> Result<(), Problem> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            status => return Err(Problem(format!("{name}: the authorization is {status:?}"))),
        }
        let mut challenge = authorization
            .challenge(ChallengeType::TlsAlpn01)
            .ok_or_else(|| Problem(format!("{name}: the authority does not offer tls-alpn-01")))?;
        challenges.set(&name, challenge.key_authorization().digest().as_ref())?;
        challenge.set_ready().await?;
    }
    Ok(())
}

/// Which name was refused, and why.
async fn refused(order: &mut Order) -> Option<Problem> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        let errors = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        if let Some(error) = errors.into_iter().next() {
            return Some(Problem(format!("{}: {error}", state.identifier())));
        }
    }
    None
}
