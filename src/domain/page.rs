//! Page tokens: where a list goes on, authenticated and bound to the caller's query, so that none
//! can be made up or carried to another.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::calls::{Page, PageRequest};
use super::core::Core;
use super::error::{Error, Faults};
use super::store::KeyPurpose;

const DEFAULT_SIZE: u32 = 50;
const MOST: u32 = 500;
const TAG: usize = 16;

/// Where a page begins, and how many it holds.
pub(super) struct PageStart {
    /// What the last item of the page before was sorted by.
    pub(super) after: Option<String>,
    pub(super) size: u32,
}

impl PageStart {
    /// One more than the page holds, to learn whether there is another.
    pub(super) fn limit(&self) -> u32 {
        self.size + 1
    }
}

impl Core {
    /// Reads a request for a page of the list that `scope` names: its query, written out.
    pub(super) fn read_page(&self, request: &PageRequest, scope: &str) -> Result<PageStart, Error> {
        let mut faults = Faults::default();
        let size = match u32::try_from(request.size) {
            Ok(0) => DEFAULT_SIZE,
            Ok(size) if size <= MOST => size,
            Ok(_) => MOST,
            Err(_) => {
                faults.add("page_size", "must not be negative");
                0
            }
        };
        let after = if request.token.is_empty() {
            None
        } else {
            let cursor = self.open_cursor(&request.token, scope);
            faults.take("page_token", cursor.ok_or("is not one of this list"))
        };
        faults.finish()?;
        Ok(PageStart { after, size })
    }

    /// Makes a page of what was found, which may be one more than the page holds.
    pub(super) fn page<T>(
        &self,
        mut items: Vec<T>,
        start: &PageStart,
        scope: &str,
        cursor: impl Fn(&T) -> String,
    ) -> Result<Page<T>, Error> {
        let size = usize::try_from(start.size).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let next = match items.last() {
            Some(last) if more => self.seal_cursor(&cursor(last), scope)?,
            Some(_) | None => String::new(),
        };
        Ok(Page { items, next })
    }

    fn seal_cursor(&self, cursor: &str, scope: &str) -> Result<String, Error> {
        let keys = self.knowledge.keys();
        let tag = tag(&keys.code(KeyPurpose::Page)?.hmac, scope, cursor);
        let tag = tag.as_ref().get(..TAG).unwrap_or_default();
        Ok(URL_SAFE_NO_PAD.encode([tag, cursor.as_bytes()].concat()))
    }

    fn open_cursor(&self, token: &str, scope: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (given, cursor) = bytes.split_at_checked(TAG)?;
        let cursor = std::str::from_utf8(cursor).ok()?;
        let keys = self.knowledge.keys();
        let is_genuine = keys.codes(KeyPurpose::Page).any(|key| {
            let tag = tag(&key.hmac, scope, cursor);
            tag.as_ref().get(..TAG).is_some_and(|tag| tag.ct_eq(given).into())
        });
        is_genuine.then(|| cursor.to_owned())
    }
}

fn tag(key: &hmac::Key, scope: &str, cursor: &str) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(scope.as_bytes());
    context.update(&[0]);
    context.update(cursor.as_bytes());
    context.sign()
}
