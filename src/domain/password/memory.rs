//! The memory that a hash is made in. A thread keeps its own from one hash to the next: to be given
//! fresh pages each time costs a tenth of a hash.
//!
//! What a hash leaves in it is overwritten by the next one on that thread, or by [`release`]. Where
//! neither comes, the thread has ended or is still at work.

use std::cell::RefCell;

use argon2::Block;
use zeroize::Zeroize as _;

/// The most blocks of 1 KiB that are kept. Room for them all is set aside at once, of which the
/// pages in use alone cost memory. The allocator of the binary gives so much back to the system
/// some ten seconds after it is let go; what is smaller it may keep.
const MOST_KEPT: usize = 64 * 1024;

thread_local! {
    static KEPT: RefCell<Memory> = const { RefCell::new(Memory(vec![])) };
}

/// Blocks that are wiped before they are let go.
#[derive(Default)]
struct Memory(Vec<Block>);

impl Memory {
    fn with_room_for(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// So many blocks, whatever is in them.
    fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            self.0.resize(count, Block::new());
        }
        let (blocks, _) = self.0.split_at_mut(count);
        blocks
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|block| block.as_mut().zeroize());
    }
}

/// Lends so many blocks to the work. What is in them is not defined.
pub(super) fn with_blocks<T>(count: usize, work: impl FnOnce(&mut [Block]) -> T) -> T {
    if count > MOST_KEPT {
        return work(Memory::with_room_for(count).blocks(count));
    }
    KEPT.with_borrow_mut(|kept| {
        if kept.0.capacity() == 0 {
            *kept = Memory::with_room_for(MOST_KEPT);
        }
        work(kept.blocks(count))
    })
}

/// Wipes what this thread keeps, and lets it go.
pub fn release() {
    KEPT.take();
}

/// How many blocks this thread keeps.
#[cfg(test)]
#[must_use]
pub fn kept() -> usize {
    KEPT.with_borrow(|kept| kept.0.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_the_largest_hash_needed_until_it_is_released() {
        let count = |wanted| with_blocks(wanted, |blocks| blocks.len());
        assert_eq!((count(16), kept()), (16, 16));
        assert_eq!((count(8), kept()), (8, 16));
        assert_eq!((count(32), kept()), (32, 32));
        release();
        assert_eq!(kept(), 0);
        assert_eq!((count(8), kept()), (8, 8));
    }

    #[test]
    fn keeps_nothing_of_a_hash_that_needs_more_than_it_may_keep() {
        let count = with_blocks(MOST_KEPT + 1, |blocks| blocks.len());
        assert_eq!((count, kept()), (MOST_KEPT + 1, 0));
    }

    #[test]
    fn is_not_moved_while_it_grows() {
        let first = with_blocks(8, |blocks| blocks.as_ptr());
        assert_eq!(with_blocks(1024, |blocks| blocks.as_ptr()), first);
    }
}
