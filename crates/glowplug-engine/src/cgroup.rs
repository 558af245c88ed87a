//! Control groups, version 1 and 2: the memory limit, the processor share, the number of processes, and that they stand
//! still between events.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::limits::{CPU_PERIOD_US, PROCESSES};

/// How long a new engine waits for the groups of a killed one; the next engine tries again.
const STALE_PATIENCE: Duration = Duration::from_secs(2);

/// The files that freeze a group.
const FREEZER_ONE: &str = "freezer.state";
const FREEZER_TWO: &str = "cgroup.freeze";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What a control group can limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Controller {
    Cpu,
    Freezer,
    Memory,
    Pids,
}

impl Controller {
    const ALL: [Self; 4] = [Self::Cpu, Self::Freezer, Self::Memory, Self::Pids];

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Freezer => "freezer",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }

    /// The file that shows that a group has this controller.
    fn file(self, version: Version) -> &'static str {
        match (self, version) {
            (Self::Cpu, Version::One) => "cpu.cfs_quota_us",
            (Self::Cpu, Version::Two) => "cpu.max",
            (Self::Freezer, Version::One) => FREEZER_ONE,
            (Self::Freezer, Version::Two) => FREEZER_TWO,
            (Self::Memory, Version::One) => "memory.limit_in_bytes",
            (Self::Memory, Version::Two) => "memory.max",
            (Self::Pids, _) => "pids.max",
        }
    }
}

/// The folders in which this process may make groups, by controller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hierarchies(BTreeMap<Controller, (Utf8PathBuf, Version)>);

impl Hierarchies {
    /// Tries out where groups can be made; `name` is that of the trial.
    pub(crate) fn find(name: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let found = Controller::ALL.into_iter().filter_map(|controller| {
            candidates(controller, &mounts, &own)
                .into_iter()
                .find(|(folder, version)| works(folder, *version, controller, name))
                .map(|place| (controller, place))
        });
        Self(found.collect())
    }

    pub(crate) fn has(&self, controller: Controller) -> bool {
        self.0.contains_key(&controller)
    }

    /// The folders in which groups are made, each once.
    pub(crate) fn folders(&self) -> BTreeSet<&Utf8Path> {
        self.0.values().map(|(folder, _)| folder.as_path()).collect()
    }

    /// Makes a group with the limit on the number of processes; the others depend on the environment.
    pub(crate) fn make(&self, name: &str) -> Result<Group> {
        let mut group = Group::default();
        for (controller, (base, version)) in &self.0 {
            let folder = base.join(name);
            if !group.folders.contains(&folder) {
                fs::create_dir(&folder)?;
                group.folders.push(folder.clone());
            }
            match controller {
                Controller::Cpu => group.cpu = Some((folder, *version)),
                Controller::Freezer => group.freezer = Some((folder, *version)),
                Controller::Memory => group.memory = Some((folder, *version)),
                Controller::Pids => fs::write(folder.join("pids.max"), PROCESSES.to_string())?,
            }
        }
        Ok(group)
    }
}

/// Folders that might do, best first: ours, and under version 2 those above it, as far up as groups may be made.
fn candidates(controller: Controller, mounts: &str, own: &str) -> Vec<(Utf8PathBuf, Version)> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some(mount) = Mount::parse(line) else { continue };
        let version = match mount.kind {
            "cgroup" if mount.options.split(',').any(|option| option == controller.name()) => Version::One,
            "cgroup2" => Version::Two,
            _ => continue,
        };
        let Some(path) = own_path(controller, version, own) else { continue };
        let below = path.strip_prefix(mount.root).unwrap_or(path).trim_start_matches('/');
        let base = Utf8Path::new(mount.at);
        let folder = if below.is_empty() { base.to_owned() } else { base.join(below) };
        found.push((folder.clone(), version));
        if version == Version::Two {
            let above = folder.ancestors().skip(1).take_while(|above| above.starts_with(base));
            found.extend(above.map(|above| (above.to_owned(), version)));
        }
    }
    found
}

struct Mount<'a> {
    root: &'a str,
    at: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, at) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let kind = right.next()?;
        Some(Self { root, at, kind, options: right.nth(1)? })
    }
}

/// This process's own group, from a line `4:memory:/a` or `0::/a` of `/proc/self/cgroup`.
fn own_path(controller: Controller, version: Version, own: &str) -> Option<&str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let matches = match version {
            Version::One => controllers.split(',').any(|name| name == controller.name()),
            Version::Two => controllers.is_empty(),
        };
        matches.then_some(path)
    })
}

fn works(folder: &Utf8Path, version: Version, controller: Controller, name: &str) -> bool {
    let trial = folder.join(name);
    if std::fs::create_dir(&trial).is_err() {
        return false;
    }
    let writable = std::fs::OpenOptions::new().write(true).open(trial.join(controller.file(version))).is_ok();
    let _ = std::fs::remove_dir(&trial);
    writable
}

fn limit_memory(folder: &Utf8Path, version: Version, memory_mb: u32) -> Result<()> {
    let bytes = (u64::from(memory_mb) * 1024 * 1024).to_string();
    match version {
        Version::One => {
            fs::write(folder.join("memory.limit_in_bytes"), &bytes)?;
            // Only where the kernel counts swap.
            let _ = fs::write(folder.join("memory.memsw.limit_in_bytes"), &bytes);
        }
        Version::Two => {
            fs::write(folder.join("memory.max"), &bytes)?;
            let _ = fs::write(folder.join("memory.swap.max"), "0");
            let _ = fs::write(folder.join("memory.oom.group"), "1");
        }
    }
    Ok(())
}

/// One environment's group; removed when dropped, which must be after its processes are gone.
#[derive(Debug, Default)]
pub(crate) struct Group {
    folders: Vec<Utf8PathBuf>,
    cpu: Option<(Utf8PathBuf, Version)>,
    freezer: Option<(Utf8PathBuf, Version)>,
    memory: Option<(Utf8PathBuf, Version)>,
}

/// Ends all processes of a group, wherever they have got to.
#[derive(Debug, Clone)]
pub(crate) struct Killer(Vec<Utf8PathBuf>);

impl Killer {
    /// Returns when there are none any more, or after a while.
    pub(crate) fn kill(&self) {
        let deadline = Instant::now() + STALE_PATIENCE;
        for folder in &self.0 {
            // Version 2, since Linux 5.14.
            let _ = fs::write(folder.join("cgroup.kill"), "1");
            while Instant::now() < deadline {
                let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                // A number that is not one of ours to see is 0.
                let processes: Vec<Pid> =
                    processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect();
                if processes.is_empty() {
                    break;
                }
                for process in processes {
                    let _ = kill_process(process, Signal::KILL);
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }
}

impl Group {
    /// What ends its processes; `None` where there is no group.
    pub(crate) fn killer(&self) -> Option<Killer> {
        (!self.folders.is_empty()).then(|| Killer(self.folders.clone()))
    }

    /// The files by which a process of one thread joins. Version 1 has one for threads, where joining does not wait for the
    /// whole host's processes to hold still, which takes milliseconds.
    pub(crate) fn entrances(&self) -> Result<Vec<OwnedFd>> {
        let open = |folder: &Utf8PathBuf| -> Result<OwnedFd> {
            let writing = |name: &str| fs::OpenOptions::new().write(true).open(folder.join(name));
            let file = writing("tasks").or_else(|_| writing("cgroup.procs"))?;
            Ok(file.into_parts().0.into())
        };
        self.folders.iter().map(open).collect()
    }

    /// The file by which processes go on that stand still, where they could not even die before (version 1).
    pub(crate) fn thawing(&self) -> Result<Option<OwnedFd>> {
        match &self.freezer {
            Some((folder, Version::One)) => {
                let file = fs::OpenOptions::new().write(true).open(folder.join(FREEZER_ONE))?;
                Ok(Some(file.into_parts().0.into()))
            }
            _ => Ok(None),
        }
    }

    /// Limits memory.
    pub(crate) fn limit_memory(&self, memory_mb: u32) -> Result<()> {
        self.memory.as_ref().map_or(Ok(()), |(folder, version)| limit_memory(folder, *version, memory_mb))
    }

    /// Takes the limit of memory away.
    pub(crate) fn unlimit_memory(&self) -> Result<()> {
        let Some((folder, version)) = &self.memory else { return Ok(()) };
        match version {
            Version::One => {
                let _ = fs::write(folder.join("memory.memsw.limit_in_bytes"), "-1");
                fs::write(folder.join("memory.limit_in_bytes"), "-1")?;
            }
            Version::Two => fs::write(folder.join("memory.max"), "max")?,
        }
        Ok(())
    }

    /// Whether the kernel has ended one of its processes for want of memory; `None` where it does not say.
    pub(crate) fn ran_out_of_memory(&self) -> Option<bool> {
        let (folder, version) = self.memory.as_ref()?;
        let file = match version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        kills(&fs::read_to_string(folder.join(file)).ok()?).map(|count| count > 0)
    }

    /// Has the processes stand still, or go on.
    pub(crate) fn freeze(&self, still: bool) -> Result<()> {
        let Some((folder, version)) = &self.freezer else { return Ok(()) };
        match version {
            Version::One => fs::write(folder.join(FREEZER_ONE), if still { "FROZEN" } else { "THAWED" })?,
            Version::Two => fs::write(folder.join(FREEZER_TWO), if still { "1" } else { "0" })?,
        }
        Ok(())
    }

    /// Sets the processor share; `None` is no limit.
    pub(crate) fn set_cpu(&self, share: Option<f64>) -> Result<()> {
        let Some((folder, version)) = &self.cpu else {
            return match share {
                None => Ok(()),
                Some(_) => Err(Error::defect("a processor share without a control group")),
            };
        };
        // The kernel takes no quota below 1 ms.
        let quota = share.map(|share| ((share * CPU_PERIOD_US as f64).round() as u64).max(1000));
        match version {
            Version::One => {
                fs::write(folder.join("cpu.cfs_period_us"), CPU_PERIOD_US.to_string())?;
                let quota = quota.map_or_else(|| "-1".to_owned(), |quota| quota.to_string());
                fs::write(folder.join("cpu.cfs_quota_us"), quota)?;
            }
            Version::Two => {
                let quota = quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
                fs::write(folder.join("cpu.max"), format!("{quota} {CPU_PERIOD_US}"))?;
            }
        }
        Ok(())
    }
}

/// How many processes were ended for want of memory: the line `oom_kill N`, in version 1 since Linux 4.13.
fn kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.trim().parse().ok())
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group stays busy for a moment after its last process has been waited for.
        let deadline = Instant::now() + Duration::from_secs(2);
        for folder in &self.folders {
            remove_group(folder, deadline);
        }
    }
}

/// Removes groups that a killed engine has left in `folders`; false where one is still busy, because its processes
/// are only just ending.
pub(crate) fn remove_stale(folders: &[&Utf8Path], prefix: &str) -> bool {
    let of = |folder: &&Utf8Path| folder.read_dir_utf8().into_iter().flatten().flatten();
    let groups: Vec<Utf8PathBuf> = folders
        .iter()
        .flat_map(of)
        .filter(|entry| entry.file_name().starts_with(prefix))
        .map(|entry| entry.path().to_owned())
        .collect();
    // Under version 1 what stands still does not even die.
    for group in &groups {
        let state = group.join(FREEZER_ONE);
        if state.exists() {
            let _ = fs::write(state, "THAWED");
        }
    }
    let deadline = Instant::now() + STALE_PATIENCE;
    // Every one is tried, also after one that stays.
    let left: Vec<&Utf8PathBuf> = groups.iter().filter(|group| !remove_group(group, deadline)).collect();
    left.is_empty()
}

/// Removes a group as soon as it is free; whether it is gone.
fn remove_group(folder: &Utf8Path, deadline: Instant) -> bool {
    while std::fs::remove_dir(folder).is_err() && folder.exists() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 24 0:26 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw
31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 24 0:28 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";

    #[test]
    fn version_one_groups_are_found_beside_our_own() {
        let own = "5:cpu,cpuacct:/user\n4:memory:/docker/abc/inner\n0::/";
        let cpu = candidates(Controller::Cpu, MOUNTS, own);
        assert!(cpu.contains(&(Utf8PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/user"), Version::One)));
        let memory = candidates(Controller::Memory, MOUNTS, own);
        assert!(memory.contains(&(Utf8PathBuf::from("/sys/fs/cgroup/memory/inner"), Version::One)));
    }

    #[test]
    fn version_two_looks_upwards() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup rw shared:1 - cgroup2 cgroup2 rw,nsdelegate";
        let found = candidates(Controller::Pids, mounts, "0::/user.slice/app.slice/x.scope");
        let folders: Vec<&str> = found.iter().map(|(folder, _)| folder.as_str()).collect();
        assert_eq!(
            folders,
            [
                "/sys/fs/cgroup/user.slice/app.slice/x.scope",
                "/sys/fs/cgroup/user.slice/app.slice",
                "/sys/fs/cgroup/user.slice",
                "/sys/fs/cgroup",
            ]
        );
    }

    #[test]
    fn kills_are_counted_in_both_versions() {
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), Some(2));
        assert_eq!(kills("low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n"), Some(0));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\n"), None);
    }

    #[test]
    fn a_share_without_a_group_is_refused() {
        assert!(Group::default().set_cpu(None).is_ok());
        assert!(Group::default().set_cpu(Some(0.5)).is_err());
    }
}
