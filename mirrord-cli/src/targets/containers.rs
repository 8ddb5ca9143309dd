//! Containers: which process is theirs, as the engine's own command tells it.

use std::{
    env,
    process::{Command, Stdio},
};

use mirrord_core::near::near;

use super::{EngineWords, Found, TargetError, process};
use crate::proxy::start::Place;

/// The label by which Compose marks a service's containers; Podman's Compose sets it, too.
const SERVICE: &str = "com.docker.compose.service";

/// A command that knows containers, asked about one target.
struct Engine<'a> {
    program: &'static str,
    target: &'a str,
}

/// What an engine's command has to say.
type Told = Result<String, EngineWords>;

impl Engine<'_> {
    /// Asks; the inner failure is the engine's answer.
    fn ask(&self, words: &[&str]) -> Result<Told, TargetError> {
        let output = Command::new(self.program).args(words).stdin(Stdio::null()).output().map_err(|why| {
            TargetError::NoEngine { target: self.target.to_owned(), engine: self.program, why }
        })?;
        if output.status.success() {
            return Ok(Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.lines().rev().map(str::trim).find(|line| !line.is_empty());
        Ok(Err(EngineWords(last.unwrap_or("it failed without a word").to_owned())))
    }

    /// Lists running containers: columns of a format, those that fit a filter.
    fn list(&self, filter: &str, format: &str) -> Result<Vec<Vec<String>>, TargetError> {
        let filter = format!("--filter={filter}");
        let mut words = vec!["ps", "--format", format];
        if filter != "--filter=" {
            words.push(&filter);
        }
        let told = self.ask(&words)?.map_err(|why| TargetError::EngineFails { engine: self.program, why })?;
        let columns = |line: &str| line.split('\t').map(str::to_owned).collect();
        Ok(told.lines().filter(|line| !line.is_empty()).map(columns).collect())
    }

    /// The column of a label: the two engines agree on everything but this.
    fn label(&self, name: &str) -> String {
        match self.program {
            "podman" => format!("{{{{index .Labels \"{name}\"}}}}"),
            _ => format!("{{{{.Label \"{name}\"}}}}"),
        }
    }

    fn names(&self) -> Result<Vec<String>, TargetError> {
        Ok(self.list("", "{{.Names}}")?.into_iter().flatten().collect())
    }

    /// The main process of a container; nothing if there is no such container.
    fn main_process(&self, container: &str) -> Result<Option<Place>, TargetError> {
        const FORMAT: &str = "{{.State.Running}}\t{{.State.Pid}}\t{{.State.Status}}";
        // A name that looks like a flag is none.
        if container.starts_with('-') {
            return Ok(None);
        }
        let Ok(told) = self.ask(&["container", "inspect", "--format", FORMAT, container])? else {
            return Ok(None);
        };
        let columns: Vec<&str> = told.split('\t').collect();
        let (&[running, pid, ..], state) = (columns.as_slice(), columns.get(2)) else { return Ok(None) };
        let pid: i32 = pid.parse().unwrap_or_default();
        if running != "true" || pid == 0 {
            return Err(TargetError::NotRunning {
                target: self.target.to_owned(),
                state: state.filter(|state| !state.is_empty()).unwrap_or(&"stopped").to_string(),
                start: format!("{} start {container}", self.program),
            });
        }
        match process::check(pid) {
            Ok(()) => Ok(Some(Place::Process(pid))),
            Err(TargetError::NoProcess(_)) => Err(TargetError::Elsewhere { engine: self.program, pid }),
            Err(why) => Err(why),
        }
    }

    fn no_container(&self, wanted: &str) -> Result<TargetError, TargetError> {
        let near = near(wanted, self.names()?);
        Ok(TargetError::NoContainer { target: self.target.to_owned(), engine: self.program, near })
    }
}

/// A container of Docker.
pub(super) fn docker(name: &str) -> Result<Found, TargetError> {
    let target = format!("docker/{name}");
    let engine = Engine { program: "docker", target: &target };
    match engine.main_process(name)? {
        Some(place) => Ok(Found { place, note: None }),
        None => Err(engine.no_container(name)?),
    }
}

/// A container of Podman, or one of a pod of Podman.
pub(super) fn podman(name: &str, container: Option<&str>) -> Result<Found, TargetError> {
    let target = format!("podman/{name}");
    let engine = Engine { program: "podman", target: &target };
    if container.is_none()
        && let Some(place) = engine.main_process(name)?
    {
        return Ok(Found { place, note: None });
    }
    let in_pod = engine.list(&format!("pod={name}"), "{{.Names}}").unwrap_or_default();
    let mut names: Vec<String> =
        in_pod.into_iter().flatten().filter(|name| !name.ends_with("-infra")).collect();
    names.sort();
    match (container, names.as_slice()) {
        (Some(_), []) if engine.main_process(name)?.is_some() => {
            Err(TargetError::NoContainers(target.clone()))
        }
        (_, []) => {
            let pods = engine.ask(&["pod", "ps", "--format", "{{.Name}}"])?.unwrap_or_default();
            if pods.lines().any(|pod| pod == name) {
                let (state, start) = ("stopped".to_owned(), format!("podman pod start {name}"));
                return Err(TargetError::NotRunning { target: target.clone(), state, start });
            }
            let all = pods.lines().map(str::to_owned).chain(engine.names()?);
            let near = near(name, all);
            Err(TargetError::NoContainer { target: target.clone(), engine: "podman", near })
        }
        (Some(wanted), _) => {
            // Made from a manifest, a container is called after its pod, too.
            let full = format!("{name}-{wanted}");
            match names.iter().find(|name| *name == wanted || **name == full) {
                Some(name) => found(&engine, name, None),
                None => Err(TargetError::NoContainer {
                    target: format!("{target}/container/{wanted}"),
                    engine: "podman",
                    near: near(wanted, names),
                }),
            }
        }
        (None, [only]) => found(&engine, only, None),
        (None, _) => Err(TargetError::Several { target, choices: names }),
    }
}

/// A replica of a Compose service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Replica {
    project: String,
    number: u32,
    name: String,
    folder: String,
}

/// A container of a Compose service: of Docker's, or else of Podman's.
pub(super) fn compose(service: &str, replica: Option<&str>) -> Result<Found, TargetError> {
    let target = format!("compose/{service}");
    let docker = Engine { program: "docker", target: &target };
    let podman = Engine { program: "podman", target: &target };
    let (engine, replicas) = match (replicas(&docker, service), replicas(&podman, service)) {
        (of_docker, Ok(of_podman))
            if !of_podman.is_empty() && of_docker.as_ref().map_or(true, Vec::is_empty) =>
        {
            (podman, of_podman)
        }
        (Err(TargetError::NoEngine { .. }), Ok(of_podman)) => (podman, of_podman),
        (of_docker, _) => (docker, of_docker?),
    };
    if replicas.is_empty() {
        let services = engine.list(&format!("label={SERVICE}"), &engine.label(SERVICE));
        let near = near(service, services.unwrap_or_default().into_iter().flatten());
        return Err(TargetError::NoContainer { target: target.clone(), engine: engine.program, near });
    }
    let (name, note) = choose(&target, replicas, replica)?;
    found(&engine, &name, note)
}

fn replicas(engine: &Engine<'_>, service: &str) -> Result<Vec<Replica>, TargetError> {
    let label = |name: &str| engine.label(&format!("com.docker.compose.{name}"));
    let format = ["{{.Names}}", &label("project"), &label("container-number"), &label("project.working_dir")]
        .join("\t");
    let mut replicas: Vec<Replica> = engine
        .list(&format!("label={SERVICE}={service}"), &format)?
        .into_iter()
        .filter_map(|columns| {
            let mut columns = columns.into_iter();
            let (name, project, number) = (columns.next()?, columns.next()?, columns.next()?);
            let folder = columns.next().unwrap_or_default();
            Some(Replica { project, number: number.parse().unwrap_or(1), name, folder })
        })
        .collect();
    replicas.sort();
    Ok(replicas)
}

/// The replica that is wanted; without a wish the first one of the project at hand.
fn choose(
    target: &str,
    mut replicas: Vec<Replica>,
    wanted: Option<&str>,
) -> Result<(String, Option<String>), TargetError> {
    if let Some(wanted) = wanted {
        let is_wanted = |replica: &&Replica| replica.name == wanted || replica.number.to_string() == wanted;
        return match replicas.iter().find(is_wanted) {
            Some(replica) => Ok((replica.name.clone(), None)),
            None => Err(TargetError::NoContainer {
                target: format!("{target}/container/{wanted}"),
                engine: "docker",
                near: near(wanted, replicas.into_iter().map(|replica| replica.name)),
            }),
        };
    }
    let project = env::var("COMPOSE_PROJECT_NAME").ok();
    let folder = env::current_dir().unwrap_or_default();
    let is_at_hand = |replica: &Replica| match &project {
        Some(project) => replica.project == *project,
        None => !replica.folder.is_empty() && folder.starts_with(&replica.folder),
    };
    if replicas.iter().any(is_at_hand) {
        replicas.retain(is_at_hand);
    }
    let first = &replicas[0];
    if replicas.iter().any(|other| other.project != first.project) {
        let choices = replicas.into_iter().map(|replica| replica.name).collect();
        return Err(TargetError::Several { target: target.to_owned(), choices });
    }
    let note = (replicas.len() > 1).then(|| {
        format!("`{target}` has {} replicas; this session is beside `{}`", replicas.len(), first.name)
    });
    Ok((first.name.clone(), note))
}

fn found(engine: &Engine<'_>, name: &str, note: Option<String>) -> Result<Found, TargetError> {
    match engine.main_process(name)? {
        Some(place) => Ok(Found { place, note }),
        None => Err(engine.no_container(name)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(project: &str, number: u32) -> Replica {
        let name = format!("{project}-web-{number}");
        Replica { project: project.to_owned(), number, name, folder: format!("/none/{project}") }
    }

    #[test]
    fn a_replica_is_chosen_by_its_name_or_its_number() {
        let replicas = vec![replica("shop", 1), replica("shop", 2)];
        for wanted in ["2", "shop-web-2"] {
            assert_eq!(choose("compose/web", replicas.clone(), Some(wanted)).unwrap().0, "shop-web-2");
        }
        let error = choose("compose/web", replicas, Some("3")).unwrap_err();
        assert_eq!(error.to_string(), "cannot find `compose/web/container/3`");
    }

    #[test]
    fn without_a_wish_the_first_is_taken_and_told() {
        let (name, note) = choose("compose/web", vec![replica("shop", 1), replica("shop", 2)], None).unwrap();
        assert_eq!(name, "shop-web-1");
        assert_eq!(note.unwrap(), "`compose/web` has 2 replicas; this session is beside `shop-web-1`");
        assert_eq!(choose("compose/web", vec![replica("shop", 1)], None).unwrap().1, None);
    }

    #[test]
    fn two_projects_with_the_same_service_are_told() {
        let error = choose("compose/web", vec![replica("a", 1), replica("b", 1)], None).unwrap_err();
        assert_eq!(error.to_string(), "`compose/web` may mean 2 containers: `a-web-1` and `b-web-1`");
    }
}
