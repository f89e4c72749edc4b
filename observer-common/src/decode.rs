//! Reads integers and byte arrays from a byte slice without casting it, and writes them the same way.

/// The slice ended before the value did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated;

/// A value with a fixed number of bytes in host order.
pub trait Field: Sized {
    /// Takes the value from the front of `r`.
    ///
    /// # Errors
    /// [`Truncated`] when too few bytes are left.
    fn take(r: &mut Reader<'_>) -> Result<Self, Truncated>;

    /// Appends the value's bytes to `out`.
    fn put(&self, out: &mut impl Extend<u8>);
}

/// Position in a byte slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Takes the next `n` bytes.
    ///
    /// # Errors
    /// [`Truncated`] when fewer are left.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// Takes the next field.
    ///
    /// # Errors
    /// [`Truncated`] when too few bytes are left.
    pub fn field<T: Field>(&mut self) -> Result<T, Truncated> {
        T::take(self)
    }
}

impl<const N: usize> Field for [u8; N] {
    fn take(r: &mut Reader<'_>) -> Result<Self, Truncated> {
        r.bytes(N)?.try_into().map_err(|_| Truncated)
    }

    fn put(&self, out: &mut impl Extend<u8>) {
        out.extend(*self);
    }
}

/// Bytes of a layout of `N` bytes, filled field by field; what is beyond them is left out.
pub(crate) struct Fixed<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Fixed<N> {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; N],
            filled: 0,
        }
    }
}

impl<const N: usize> Extend<u8> for Fixed<N> {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        for (place, byte) in self.bytes.iter_mut().skip(self.filled).zip(bytes) {
            *place = byte;
            self.filled += 1;
        }
    }
}

impl<const N: usize> From<Fixed<N>> for [u8; N] {
    fn from(fixed: Fixed<N>) -> Self {
        fixed.bytes
    }
}

macro_rules! integer_field {
    ($($ty:ty),*) => {$(
        impl Field for $ty {
            fn take(r: &mut Reader<'_>) -> Result<Self, Truncated> {
                Ok(<$ty>::from_ne_bytes(r.field()?))
            }

            fn put(&self, out: &mut impl Extend<u8>) {
                out.extend(self.to_ne_bytes());
            }
        }
    )*};
}
integer_field!(u8, u16, u32, u64, i32);
