//! The keys of a server, for one who has its database and its master key: to sign what it never
//! would.

use jsonwebtoken::signature::Signer as _;
use sea_orm::{ConnectionTrait as _, Database, Statement};
use tokend::domain::clock::Timestamp;
use tokend::domain::keys::KeyRing;
use tokend::domain::seal::MasterKey;
use tokend::domain::store::{KeyPurpose, KeyRow, KeyState, Seq};
use tokend::domain::token::KeyId;

use crate::support::{Kind, MASTER_KEY, World};

/// Keys that sign.
pub(super) struct OwnKeys(KeyRing);

impl OwnKeys {
    /// Signs by the active key of a profile.
    pub(super) fn sign(&self, profile: &str, message: &[u8]) -> Vec<u8> {
        self.0.signing(profile).unwrap().pair.sign(message)
    }
}

/// Reads and opens the active signing keys.
pub(super) async fn own_keys(world: &World) -> OwnKeys {
    let database = world.database();
    let master = match database.folder() {
        Some(folder) => std::fs::read_to_string(folder.join("tokend.db.key")).unwrap(),
        None => MASTER_KEY.to_owned(),
    };
    let table = if database.kind() == Kind::Mariadb { "`keys`" } else { "keys" };
    let link = Database::connect(database.url()).await.unwrap();
    let query = format!(
        "SELECT id, profile, algorithm, sealed FROM {table} \
         WHERE purpose = 'sign' AND state = 'active'"
    );
    let query = Statement::from_string(link.get_database_backend(), query);
    let rows = link.query_all_raw(query).await.unwrap().into_iter().map(|row| {
        let text = |column: &str| row.try_get::<String>("", column).unwrap();
        KeyRow {
            id: KeyId::parse(&text("id")).unwrap(),
            purpose: KeyPurpose::Sign,
            profile: text("profile"),
            algorithm: text("algorithm"),
            state: KeyState::Active,
            sealed: row.try_get("", "sealed").unwrap(),
            created_at: Timestamp::from_micros(0),
            retired_at: None,
        }
    });
    let rows: Vec<_> = rows.collect();
    let ring = KeyRing::open(&rows, &MasterKey::parse(master.trim_end()).unwrap(), Seq(1)).unwrap();
    link.close().await.unwrap();
    OwnKeys(ring)
}
