//! The target's environment, as its main process was given it.

use mirrord_core::rules::env::travels;
use mirrord_protocol::{
    agent::env::{Environment, EnvironmentCall},
    fault::Fault,
};
use serde_bytes::ByteBuf;

/// The variables that are wanted and may travel; none without a main process.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn environment(pid: Option<i32>, call: &EnvironmentCall) -> Result<Environment, Fault> {
    let Some(pid) = pid else { return Ok(Environment::default()) };
    let block = std::fs::read(format!("/proc/{pid}/environ")).map_err(|error| {
        Fault::with_words(error.raw_os_error().unwrap_or(libc::EIO), "cannot read the target's environment")
    })?;
    Ok(select(&block, call))
}

fn select(block: &[u8], call: &EnvironmentCall) -> Environment {
    let variables = block.split(|byte| *byte == 0).filter_map(|variable| {
        let middle = variable.iter().position(|byte| *byte == b'=').filter(|middle| *middle > 0)?;
        let (name, value) = (&variable[..middle], &variable[middle + 1..]);
        travels(name, &call.include, &call.exclude).then(|| (ByteBuf::from(name), ByteBuf::from(value)))
    });
    Environment(variables.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_cut_into_variables_that_travel() {
        let block = b"A=1\0PATH=/bin\0EMPTY=\0=odd\0nothing\0URL=a=b\0\xff=\xfe\0";
        let pair = |name: &[u8], value: &[u8]| (ByteBuf::from(name), ByteBuf::from(value));
        let all = select(block, &EnvironmentCall::default());
        assert_eq!(
            all.0,
            [pair(b"A", b"1"), pair(b"EMPTY", b""), pair(b"URL", b"a=b"), pair(b"\xff", b"\xfe")]
        );
        let some = select(
            block,
            &EnvironmentCall { include: vec!["U*".into(), "A".into()], exclude: vec!["A".into()] },
        );
        assert_eq!(some.0, [pair(b"URL", b"a=b")]);
    }
}
