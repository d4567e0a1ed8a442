//! The account at the authority: made once, kept in the data folder.

use super::https::Https;
use super::{Problem, Settings, blocking};
use instant_acme::{Account, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};
use std::io;

/// What is kept of an account.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// The authority that knows the account.
    directory: String,
    credentials: AccountCredentials,
}

/// The account of an earlier start, or a new one.
pub(super) async fn load(settings: &Settings, https: &Https) -> Result<Account, Problem> {
    let file = settings.account_file.clone();
    let text = match blocking(move || std::fs::read(file)).await {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Problem(format!("{}: {error}", settings.account_file.display()))),
    };
    let builder = || Account::builder_with_http(Box::new(https.clone()));
    if let Some(text) = text {
        let stored: Stored = serde_json::from_slice(&text)
            .map_err(|error| Problem(format!("{}: {error}", settings.account_file.display())))?;
        if stored.directory == settings.directory {
            return Ok(builder().from_credentials(stored.credentials).await?);
        }
    }
    let contact: Vec<_> = settings.contact.iter().map(String::as_str).collect();
    let request =
        NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder().create(&request, settings.directory.clone(), None).await?;
    let stored = Stored { directory: settings.directory.clone(), credentials };
    let (file, text) = (settings.account_file.clone(), serde_json::to_vec(&stored)?);
    blocking(move || net::write_private(&file, &text)).await?;
    Ok(account)
}
