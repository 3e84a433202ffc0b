//! The one database: what is committed, and what a failover or a purge takes away.

/// How many rows the list of changes holds at most, in any scope.
const MOST: usize = 4;

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum About {
    /// Nothing that matters: the row that is there from the first migration.
    Nothing,
    /// What the revoker revokes.
    Target,
    /// A role.
    Role,
}

/// A row of the list of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) seq: u8,
    pub(super) nonce: u8,
    pub(super) about: About,
}

const FIRST: Row = Row { seq: 1, nonce: 1, about: About::Nothing };

/// A few rows, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Rows {
    // Those past the length are all `FIRST`, so that equal lists are equal.
    rows: [Row; MOST],
    length: u8,
}

impl Rows {
    pub(super) const NONE: Self = Self { rows: [FIRST; MOST], length: 0 };

    pub(super) fn as_slice(&self) -> &[Row] {
        &self.rows[..usize::from(self.length)]
    }

    pub(super) fn push(&mut self, row: Row) {
        self.rows[usize::from(self.length)] = row;
        self.length += 1;
    }

    pub(super) fn set_first_nonce(&mut self, nonce: u8) {
        self.rows[0].nonce = nonce;
    }

    fn pop(&mut self) -> Row {
        self.length -= 1;
        std::mem::replace(&mut self.rows[usize::from(self.length)], FIRST)
    }

    fn drop_first(&mut self) {
        self.rows.rotate_left(1);
        self.rows[MOST - 1] = FIRST;
        self.length -= 1;
    }
}

/// A page of the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Page {
    pub(super) rows: Rows,
    pub(super) is_full: bool,
    /// The longest lease that was announced, in ticks.
    pub(super) longest_lease: u8,
}

/// What is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Database {
    rows: Rows,
    last: u8,
    nonces_drawn: u8,
    /// Whether the target is revoked.
    pub(super) is_revoked: bool,
    /// Whether the role was changed.
    pub(super) is_role_changed: bool,
    longest_lease: u8,
    // Whether the newest change may still be lost: nobody has read it back after their wait.
    may_lose_newest: bool,
}

impl Database {
    /// As the first migration leaves it, with a replica of this lease (in ticks) announced.
    pub(super) fn new(longest_lease: u8) -> Self {
        let mut rows = Rows::NONE;
        rows.push(FIRST);
        Self {
            rows,
            last: 1,
            nonces_drawn: 1,
            is_revoked: false,
            is_role_changed: false,
            longest_lease,
            may_lose_newest: false,
        }
    }

    /// Commits a change.
    pub(super) fn commit(&mut self, about: About) -> Row {
        self.last += 1;
        self.nonces_drawn += 1;
        let row = Row { seq: self.last, nonce: self.nonces_drawn, about };
        self.rows.push(row);
        self.may_lose_newest = true;
        self.set(about, true);
        row
    }

    fn set(&mut self, about: About, is_done: bool) {
        match about {
            About::Nothing => {}
            About::Target => self.is_revoked = is_done,
            About::Role => self.is_role_changed = is_done,
        }
    }

    /// Answers the newest change; of an empty list, which the product never makes, nothing's.
    pub(super) fn head(&self) -> Row {
        self.rows.as_slice().last().copied().unwrap_or(Row { seq: 0, nonce: 0, ..FIRST })
    }

    /// Answers the changes from this number on, at most so many.
    pub(super) fn changes_from(&self, seq: u8, most: usize) -> Page {
        let mut rows = Rows::NONE;
        let from = self.rows.as_slice().iter().filter(|row| row.seq >= seq).take(most);
        from.for_each(|row| rows.push(*row));
        let is_full = rows.as_slice().len() == most;
        Page { rows, is_full, longest_lease: self.longest_lease }
    }

    /// Raises the longest lease to that of a replica.
    pub(super) fn announce(&mut self, lease: u8) {
        self.longest_lease = self.longest_lease.max(lease);
    }

    /// Reads a change back: from then on no failover loses it.
    pub(super) fn confirm(&mut self, row: Row) -> bool {
        let found = self.changes_from(row.seq, 1).rows.as_slice() == [row];
        if found && row.seq == self.last {
            self.may_lose_newest = false;
        }
        found
    }

    /// Whether purge would find more than `spared` rows.
    pub(super) fn has_more_than(&self, spared: usize) -> bool {
        self.rows.as_slice().len() > spared
    }

    /// Removes the oldest row. A standby that has this has all before it, too.
    pub(super) fn purge(&mut self) {
        self.rows.drop_first();
        self.may_lose_newest = false;
    }

    /// Whether a failover may lose a change.
    pub(super) fn may_lose(&self) -> bool {
        self.may_lose_newest
    }

    /// Goes on from a standby that lacks the newest change. The next change has its number, and a
    /// nonce of its own.
    pub(super) fn fail_over(&mut self) {
        let lost = self.rows.pop();
        self.last -= 1;
        self.may_lose_newest = false;
        self.set(lost.about, false);
    }
}
