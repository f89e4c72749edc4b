//! Container id from a process's cgroup path. Pure.

/// Container id in the text of `/proc/PID/cgroup`: the 64 hexadecimal digits that runc, containerd, CRI-O, Docker and
/// podman put into the last parts of the path (`.../<id>`, `docker-<id>.scope`, `libpod-<id>`, `cri-containerd-<id>.scope`).
/// The unified hierarchy (`0::`) is asked first; the others after it, for hosts that only use those.
pub fn container_id(text: &str) -> Option<String> {
    let (unified, others): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("0::"));
    unified.into_iter().chain(others).find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').find_map(id_in)
    })
}

fn id_in(part: &str) -> Option<String> {
    const ID_LEN: usize = 64;
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let id = part.rsplit(['-', ':']).next()?;
    (id.len() == ID_LEN && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_usual_runtimes_are_found() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/kubepods/besteffort/pod1/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/../../kubepods.slice/cri-containerd-{id}.scope"),
            format!("/kubepods-pod1.slice:cri-containerd:{id}"),
        ] {
            assert_eq!(container_id(&format!("0::{path}\n")), Some(id.clone()), "{path}");
            assert_eq!(
                container_id(&format!("4:memory:{path}\n0::/\n")),
                Some(id.clone()),
                "{path}"
            );
        }
    }

    #[test]
    fn a_session_is_not_a_container() {
        assert_eq!(
            container_id("0::/user.slice/user-0.slice/session-1.scope\n"),
            None
        );
        assert_eq!(container_id("garbage"), None);
        assert_eq!(container_id(&format!("0::/{}", "g".repeat(64))), None);
    }
}
