//! A checked reader and writer of big-endian fields.
//!
//! The reader never looks past its end; the writer only appends, so that no byte goes out that
//! nobody wrote.

use super::error::{EmitError, ParseError};
use crate::id::{Incarnation, NetworkId, Nonce, PublicKey, RoomTag, ShortId};

/// What is left to read of some bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// A field of a type that knows its own layout.
    ///
    /// # Errors
    /// [`ParseError::Length`] where the bytes end too early, or what the field says.
    pub fn read<T: Wire>(&mut self) -> Result<T, ParseError> {
        T::read(self)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`ParseError::Length`] if fewer are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], ParseError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(ParseError::Length)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`ParseError::Length`] if fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ParseError::Length)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Bytes behind a length of one byte that is at most `max`.
    ///
    /// # Errors
    /// [`ParseError::Range`] if the length is above `max`, [`ParseError::Length`] if fewer bytes
    /// are left.
    pub fn short(&mut self, max: usize) -> Result<&'a [u8], ParseError> {
        let len = usize::from(self.read::<u8>()?);
        self.take(at_most(len, max)?)
    }

    /// Bytes behind a length of two bytes that is at most `max`.
    ///
    /// # Errors
    /// As [`Reader::short`].
    pub fn long(&mut self, max: usize) -> Result<&'a [u8], ParseError> {
        let len = usize::from(self.read::<u16>()?);
        self.take(at_most(len, max)?)
    }

    /// Fields behind a count of one byte that is at most `max`.
    ///
    /// # Errors
    /// As [`Reader::short`], or what a field says.
    pub fn list<T: Wire>(&mut self, max: usize) -> Result<Vec<T>, ParseError> {
        let count = usize::from(self.read::<u8>()?);
        (0..at_most(count, max)?).map(|_| self.read()).collect()
    }

    /// All that is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    /// [`ParseError::Length`] if something is.
    pub fn finish(self) -> Result<(), ParseError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(ParseError::Length)
        }
    }
}

fn at_most(value: usize, max: usize) -> Result<usize, ParseError> {
    if value > max {
        return Err(ParseError::Range);
    }
    Ok(value)
}

/// Bytes under way.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Writer::default()
    }

    /// Appends a field.
    ///
    /// # Errors
    /// What the field says.
    pub fn write<T: Wire>(&mut self, value: &T) -> Result<(), EmitError> {
        value.write(self)
    }

    /// Appends bytes as they are.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a length of one byte and the bytes.
    ///
    /// # Errors
    /// [`EmitError::TooLong`] above `max` or 255 bytes.
    pub fn short(&mut self, bytes: &[u8], max: usize) -> Result<(), EmitError> {
        let len = u8::try_from(bytes.len()).map_err(|_| EmitError::TooLong)?;
        if bytes.len() > max {
            return Err(EmitError::TooLong);
        }
        self.put(&[len]);
        self.put(bytes);
        Ok(())
    }

    /// Appends a length of two bytes and the bytes.
    ///
    /// # Errors
    /// [`EmitError::TooLong`] above `max` or 65,535 bytes.
    pub fn long(&mut self, bytes: &[u8], max: usize) -> Result<(), EmitError> {
        let len = u16::try_from(bytes.len()).map_err(|_| EmitError::TooLong)?;
        if bytes.len() > max {
            return Err(EmitError::TooLong);
        }
        self.put(&len.to_be_bytes());
        self.put(bytes);
        Ok(())
    }

    /// Appends a count of one byte and the fields.
    ///
    /// # Errors
    /// [`EmitError::TooMany`] above `max` or 255 fields, or what a field says.
    pub fn list<T: Wire>(&mut self, items: &[T], max: usize) -> Result<(), EmitError> {
        let count = u8::try_from(items.len()).map_err(|_| EmitError::TooMany)?;
        if items.len() > max {
            return Err(EmitError::TooMany);
        }
        self.put(&[count]);
        items.iter().try_for_each(|item| self.write(item))
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A field that knows its own layout.
pub trait Wire: Sized {
    /// Reads one.
    ///
    /// # Errors
    /// Why the bytes are none.
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError>;

    /// Appends it, in the only spelling that [`Wire::read`] reads as this value.
    ///
    /// # Errors
    /// What a reader would refuse.
    fn write(&self, writer: &mut Writer) -> Result<(), EmitError>;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Wire for $type {
            fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
                reader.array().map(<$type>::from_be_bytes)
            }
            fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
                writer.put(&self.to_be_bytes());
                Ok(())
            }
        }
    )*};
}
integers!(u8, u16, u32, u64);

impl<const N: usize> Wire for [u8; N] {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        reader.array()
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.put(self);
        Ok(())
    }
}

macro_rules! newtypes {
    ($($type:ident),*) => {$(
        impl Wire for $type {
            fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
                reader.read().map($type)
            }
            fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
                writer.write(&self.0)
            }
        }
    )*};
}
newtypes!(PublicKey, ShortId, Nonce, RoomTag, NetworkId, Incarnation);

/// Makes a struct a field: its own fields, one after the other.
macro_rules! wire_struct {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::wire::cursor::Wire for $type {
            fn read(
                _reader: &mut $crate::wire::cursor::Reader<'_>,
            ) -> Result<Self, $crate::wire::ParseError> {
                Ok($type { $($field: _reader.read()?),* })
            }
            fn write(
                &self,
                _writer: &mut $crate::wire::cursor::Writer,
            ) -> Result<(), $crate::wire::EmitError> {
                $(_writer.write(&self.$field)?;)*
                Ok(())
            }
        }
    };
}
pub(crate) use wire_struct;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_big_endian_and_end_where_the_bytes_end() {
        let mut reader = Reader::new(&[1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 9]);
        assert_eq!(reader.read::<u8>(), Ok(1));
        assert_eq!(reader.read::<u16>(), Ok(2));
        assert_eq!(reader.read::<u32>(), Ok(3));
        assert_eq!(reader.read::<u64>(), Ok(4));
        assert_eq!(reader.read::<u16>(), Err(ParseError::Length));
        assert_eq!(reader.rest(), [9]);
        assert_eq!(reader.clone().finish(), Err(ParseError::Length));
        assert_eq!(reader.take(1), Ok(&[9][..]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn lengths_and_counts_are_bounded_both_ways() {
        assert_eq!(Reader::new(&[3, 1, 2, 3]).short(3), Ok(&[1, 2, 3][..]));
        assert_eq!(Reader::new(&[3, 1, 2, 3]).short(2), Err(ParseError::Range));
        assert_eq!(Reader::new(&[3, 1, 2]).short(3), Err(ParseError::Length));
        assert_eq!(Reader::new(&[0, 2, 7, 8]).long(2), Ok(&[7, 8][..]));
        assert_eq!(Reader::new(&[1, 0]).long(255), Err(ParseError::Range));
        assert_eq!(Reader::new(&[2, 7, 8]).list::<u8>(2), Ok(vec![7, 8]));
        assert_eq!(
            Reader::new(&[2, 7, 8]).list::<u8>(1),
            Err(ParseError::Range)
        );

        let mut writer = Writer::new();
        assert_eq!(writer.short(&[0; 3], 2), Err(EmitError::TooLong));
        assert_eq!(writer.short(&[0; 256], 999), Err(EmitError::TooLong));
        assert_eq!(writer.long(&[0; 3], 2), Err(EmitError::TooLong));
        assert_eq!(writer.long(&[0; 65536], 99999), Err(EmitError::TooLong));
        assert_eq!(writer.list(&[0u8; 3], 2), Err(EmitError::TooMany));
        assert_eq!(writer.list(&[0u8; 256], 999), Err(EmitError::TooMany));
        assert_eq!(writer.into_bytes(), [0u8; 0]);
    }
}
