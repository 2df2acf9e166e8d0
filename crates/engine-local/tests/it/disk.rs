//! A disk as bad as a disk may be: it keeps what was synced, and of the rest whatever it likes.
//!
//! Implements the engine's [`Fs`]; driven by the tests. In a crash, of every file any subset of
//! the sectors written since its last `sync_data` is there, a sector may be torn, and any subset
//! of the names made, changed or removed since the directory's last `sync_dir` holds. A failed
//! sync drops what it should have written for good, while reads still show it, as Linux does
//! (reference `engine.md` 4).
//!
//! Invariants: deterministic in the seed of [`Faults`]; handles of before a crash are dead.

mod inode;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outflow_engine_local::fs::{ALIGN, File, Fs, OpenMode};
use outflow_model::Rng;
use parking_lot::Mutex;

use crate::faults::{Fault, Faults, Kind, Loss};
use inode::Inode;

/// See the module. Clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    faults: Arc<Faults>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    inodes: BTreeMap<u64, Inode>,
    last_inode: u64,
    live: Names,
    durable: Names,
    /// What `durable` lacks, in order.
    unsynced: Vec<Naming>,
    capacity: u64,
    sector: usize,
    /// Counts crashes: handles of before one are dead.
    life: u64,
}

#[derive(Debug, Clone, Default)]
struct Names {
    files: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
}

/// One change of names.
#[derive(Debug, Clone)]
enum Naming {
    MakeDir(PathBuf),
    Link(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
    Remove(PathBuf),
}

impl Naming {
    /// The directory whose sync makes it durable.
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::MakeDir(path) | Self::Link(path, _) | Self::Remove(path) => path.parent(),
            Self::Rename(_, to, _) => to.parent(),
        }
    }
}

impl Names {
    fn apply(&mut self, naming: &Naming) {
        match naming {
            Naming::MakeDir(path) => {
                self.dirs.insert(path.clone());
            }
            Naming::Link(path, inode) => {
                self.files.insert(path.clone(), *inode);
            }
            Naming::Rename(from, to, inode) => {
                self.files.remove(from);
                self.files.insert(to.clone(), *inode);
            }
            Naming::Remove(path) => {
                self.files.remove(path);
            }
        }
    }

    fn has_dir(&self, dir: &Path) -> bool {
        dir.ancestors().all(|dir| dir.parent().is_none() || self.dirs.contains(dir))
    }
}

impl Disk {
    /// An empty disk. `capacity` bounds the bytes of all files together.
    pub(crate) fn new(faults: Arc<Faults>, capacity: u64) -> Self {
        let sector = if faults.rng().below(2) == 0 { 512 } else { 4096 };
        let inner = Inner {
            inodes: BTreeMap::new(),
            last_inode: 0,
            live: Names::default(),
            durable: Names::default(),
            unsynced: Vec::new(),
            capacity,
            sector,
            life: 0,
        };
        Self { faults, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Makes a directory, and those above it, that were always there.
    pub(crate) fn make_durable_dir(&self, dir: &Path) {
        let inner = &mut *self.inner.lock();
        for names in [&mut inner.live, &mut inner.durable] {
            let missing = dir.ancestors().filter(|dir| dir.parent().is_some());
            names.dirs.extend(missing.map(PathBuf::from));
        }
    }

    pub(crate) fn set_capacity(&self, capacity: u64) {
        self.inner.lock().capacity = capacity;
    }

    pub(crate) fn used(&self) -> u64 {
        self.inner.lock().used()
    }

    /// What a crash leaves. Every handle is dead afterwards.
    pub(crate) fn crash(&self, loss: Loss) {
        let inner = &mut *self.inner.lock();
        let rng = self.faults.rng();
        for naming in std::mem::take(&mut inner.unsynced) {
            if loss.survives(rng) {
                inner.durable.apply(&naming);
            }
        }
        let durable = inner.durable.clone();
        inner.durable.files.retain(|path, _| durable.has_dir(path.parent().unwrap_or(path)));
        inner.durable.dirs.retain(|dir| durable.has_dir(dir));
        inner.live = inner.durable.clone();
        let named: BTreeSet<_> = inner.live.files.values().copied().collect();
        inner.inodes.retain(|number, _| named.contains(number));
        for inode in inner.inodes.values_mut() {
            inode.crash(loss, inner.sector, rng);
        }
        inner.life += 1;
    }

    /// Every file with its bytes, for the corruption tests.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let inner = self.inner.lock();
        let bytes = |number: &u64| inner.inodes[number].bytes().to_vec();
        inner.live.files.iter().map(|(path, inode)| (path.clone(), bytes(inode))).collect()
    }

    /// Replaces a file's bytes behind the engine's back.
    pub(crate) fn damage(&self, path: &Path, bytes: Vec<u8>) {
        let inner = &mut *self.inner.lock();
        let number = inner.live.files[path];
        inner.inodes.insert(number, Inode::durable(bytes));
    }

    /// Makes the disk hold exactly `files`, durably.
    pub(crate) fn restore(&self, files: &[(PathBuf, Vec<u8>)]) {
        let inner = &mut *self.inner.lock();
        inner.inodes.clear();
        inner.unsynced.clear();
        inner.live.files.clear();
        for (path, bytes) in files {
            inner.last_inode += 1;
            inner.inodes.insert(inner.last_inode, Inode::durable(bytes.clone()));
            inner.live.files.insert(path.clone(), inner.last_inode);
        }
        inner.durable = inner.live.clone();
        inner.life += 1;
    }

    fn change(&self, what: &str, naming: Naming) -> io::Result<()> {
        let fault = self.faults.enter(Kind::Change, what, format!("{naming:?}").as_bytes())?;
        if let Some(fault @ (Fault::Eio | Fault::Enospc)) = fault {
            return Err(fault.error());
        }
        let inner = &mut *self.inner.lock();
        inner.live.apply(&naming);
        inner.unsynced.push(naming);
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn handle(&self, inode: u64, mode: OpenMode) -> Box<dyn File> {
        let life = self.inner.lock().life;
        Box::new(Handle { disk: self.clone(), inode, mode, life })
    }
}

impl Inner {
    fn used(&self) -> u64 {
        self.inodes.values().map(|inode| inode.bytes().len() as u64).sum()
    }
}

fn not_found() -> io::Error {
    io::Error::from_raw_os_error(2)
}

impl Fs for Disk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let (found, has_dir) = {
            let inner = self.inner.lock();
            let dir = path.parent().unwrap_or(path);
            (inner.live.files.get(path).copied(), inner.live.has_dir(dir))
        };
        match (mode, found) {
            (OpenMode::CreateNew, Some(_)) => Err(io::Error::from_raw_os_error(17)),
            (OpenMode::CreateNew, None) if !has_dir => Err(not_found()),
            (OpenMode::CreateNew, None) => {
                let inode = {
                    let mut inner = self.inner.lock();
                    inner.last_inode += 1;
                    let number = inner.last_inode;
                    inner.inodes.insert(number, Inode::default());
                    number
                };
                self.change("create", Naming::Link(path.into(), inode))?;
                Ok(self.handle(inode, mode))
            }
            (_, found) => {
                self.faults.enter(Kind::Look, "open", path.as_os_str().as_encoded_bytes())?;
                Ok(self.handle(found.ok_or_else(not_found)?, mode))
            }
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.faults.enter(Kind::Look, "list", dir.as_os_str().as_encoded_bytes())?;
        let inner = self.inner.lock();
        if !inner.live.has_dir(dir) {
            return Err(not_found());
        }
        let all = inner.live.files.keys().chain(&inner.live.dirs);
        let inside = all.filter(|path| path.parent() == Some(dir));
        let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        let mut names: Vec<_> = inside.filter_map(name).collect();
        // In no order: not the one in which they happen to be kept.
        names.sort_by_key(|name| crc32c::crc32c(name.as_bytes()));
        Ok(names)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<_> = {
            let inner = self.inner.lock();
            let known = |dir: &&Path| dir.parent().is_some() && !inner.live.dirs.contains(*dir);
            dir.ancestors().filter(known).map(PathBuf::from).collect()
        };
        missing.into_iter().rev().try_for_each(|dir| self.change("mkdir", Naming::MakeDir(dir)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.inner.lock().live.files.get(from).copied().ok_or_else(not_found)?;
        self.change("rename", Naming::Rename(from.into(), to.into(), inode))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.inner.lock().live.files.contains_key(path) {
            return Err(not_found());
        }
        self.change("remove", Naming::Remove(path.into()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let name = dir.as_os_str().as_encoded_bytes();
        if let Some(fault) = self.faults.enter(Kind::Sync, "sync dir", name)? {
            return Err(fault.error());
        }
        let inner = &mut *self.inner.lock();
        let (synced, rest) = std::mem::take(&mut inner.unsynced)
            .into_iter()
            .partition(|naming| naming.dir() == Some(dir));
        let synced: Vec<Naming> = synced;
        inner.unsynced = rest;
        synced.iter().for_each(|naming| inner.durable.apply(naming));
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        let inner = self.inner.lock();
        Ok(inner.capacity.saturating_sub(inner.used()))
    }

    fn total_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.inner.lock().capacity)
    }
}

/// An open file.
#[derive(Debug)]
struct Handle {
    disk: Disk,
    inode: u64,
    mode: OpenMode,
    life: u64,
}

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut Inode) -> T) -> io::Result<T> {
        let inner = &mut *self.disk.inner.lock();
        if inner.life != self.life {
            return Err(Fault::Crash.error());
        }
        inner.inodes.get_mut(&self.inode).map(act).ok_or_else(not_found)
    }

    /// How many of `len` bytes written at `at` the disk has room for.
    fn room(&self, at: u64, len: usize) -> usize {
        let inner = self.disk.inner.lock();
        let has = inner.inodes.get(&self.inode).map_or(0, |inode| inode.bytes().len() as u64);
        let grows = (at + len as u64).saturating_sub(has);
        let free = inner.capacity.saturating_sub(inner.used());
        len - grows.saturating_sub(free).min(len as u64) as usize
    }
}

impl File for Handle {
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        self.disk.faults.enter(Kind::Look, "read", &at.to_le_bytes())?;
        // A read may give less than was asked for.
        let is_short = out.len() > 1 && self.disk.faults.rng().below(64) == 0;
        let wanted = if is_short { out.len() / 2 } else { out.len() };
        self.with(|inode| {
            let rest = inode.bytes().get(at as usize..).unwrap_or_default();
            let len = rest.len().min(wanted);
            out[..len].copy_from_slice(&rest[..len]);
            len
        })
    }

    fn write_all_at(&self, data: &[u8], at: u64) -> io::Result<()> {
        assert_ne!(self.mode, OpenMode::Read, "a write through a handle for reading");
        if self.mode == OpenMode::Direct {
            let address = data.as_ptr() as usize;
            let is_aligned = [address, data.len(), at as usize].map(|n| n % ALIGN);
            assert_eq!(is_aligned, [0; 3], "a direct write that is not aligned");
        }
        let fault =
            self.disk.faults.enter(Kind::Change, &format!("write {} at {at}", self.inode), data)?;
        let room = self.room(at, data.len());
        let done = match fault {
            None => room,
            Some(Fault::Crash) => data.len(),
            Some(_) => self.disk.faults.rng().below(room as u64 + 1) as usize,
        };
        self.with(|inode| inode.write(&data[..done], at))?;
        match fault {
            Some(fault) => Err(fault.error()),
            None if done < data.len() => Err(Fault::Enospc.error()),
            None => Ok(()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let what = format!("sync {}", self.inode);
        let fault = self.disk.faults.enter(Kind::Sync, &what, &[])?;
        if let Some(fault) = fault {
            if fault != Fault::Crash {
                let rng = self.disk.faults.rng();
                self.with(|inode| inode.fail_sync(rng))?;
            }
            return Err(fault.error());
        }
        self.with(Inode::sync)
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.faults.enter(Kind::Look, "len", &[])?;
        self.with(|inode| inode.bytes().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let what = format!("set len {} {len}", self.inode);
        let fault = self.disk.faults.enter(Kind::Change, &what, &[])?;
        let is_full = self.room(0, len as usize) < len as usize;
        match fault {
            Some(fault @ (Fault::Eio | Fault::Enospc)) => return Err(fault.error()),
            _ if is_full => return Err(Fault::Enospc.error()),
            _ => self.with(|inode| inode.set_len(len))?,
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }
}
