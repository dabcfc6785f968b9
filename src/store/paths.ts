import path from "node:path";
import { SluiceError } from "../support/errors.ts";

/** Where things lie in the state directory; all absolute. */
export interface StatePaths {
  readonly directory: string;
  /** haproxy.cfg: what HAProxy runs, or starts with. */
  readonly config: string;
  /** What `haproxy -c` is asked about before it becomes the configuration. */
  readonly candidate: string;
  /** Directory of map files. */
  readonly maps: string;
  /** Directory of files named by their content. */
  readonly assets: string;
  /** Directory of certificates with their keys. */
  readonly certificates: string;
  /** The list of certificates HAProxy reads (`crt-list`). */
  readonly certificateList: string;
  /** Directory that is made to try certificates in, and removed behind it. */
  readonly certificateTrial: string;
  readonly sockets: string;
  /** HAProxy's master CLI. */
  readonly masterSocket: string;
  /** HAProxy's Runtime API. */
  readonly runtimeSocket: string;
  /** Sluice's own commands. */
  readonly adminSocket: string;
  /** What HAProxy writes to its stdout and stderr. */
  readonly haproxyLog: string;
  readonly state: string;
  readonly snapshot: string;
  readonly template: string;
  readonly quarantine: string;
  readonly lock: string;
  readonly lockSocket: string;
}

/** sun_path holds 107 bytes, and HAProxy keeps ten for the name it binds before it renames (measured: "max 97"). */
const longestSocketPath = 97;

/**
 * The paths below a state directory.
 *
 * @throws {SluiceError} ERR_STATE_UNUSABLE when the paths of its sockets are longer than HAProxy can bind
 */
export function statePaths(stateDirectory: string): StatePaths {
  const directory = path.resolve(stateDirectory);
  const below = (...names: string[]) => path.join(directory, ...names);
  const paths: StatePaths = {
    directory,
    config: below("haproxy.cfg"),
    candidate: below("haproxy.cfg.candidate"),
    maps: below("maps"),
    assets: below("assets"),
    certificates: below("certs"),
    certificateList: below("certs", "list.txt"),
    certificateTrial: below("certs.trial"),
    sockets: below("sockets"),
    masterSocket: below("sockets", "master.sock"),
    runtimeSocket: below("sockets", "runtime.sock"),
    adminSocket: below("sockets", "admin.sock"),
    haproxyLog: below("haproxy.log"),
    state: below("state.json"),
    snapshot: below("snapshot.json"),
    template: below("template.json"),
    quarantine: below("quarantine.json"),
    lock: below("lock"),
    lockSocket: below("sockets", "lock.sock"),
  };
  const excess = Math.max(
    ...[paths.masterSocket, paths.runtimeSocket, paths.adminSocket, paths.lockSocket].map(
      (socket) => Buffer.byteLength(socket) - longestSocketPath,
    ),
  );
  if (excess > 0) {
    throw new SluiceError(
      "ERR_STATE_UNUSABLE",
      `the state directory's path is ${excess} bytes too long for Unix sockets: ${directory}; ` +
        `choose a haproxy.directory of at most ${Buffer.byteLength(directory) - excess} bytes`,
      { details: { path: directory } },
    );
  }
  return paths;
}

/**
 * A path below a directory, made absolute; relative ones stand in that directory.
 *
 * @throws {SluiceError} ERR_VALUE_UNSAFE when it leads anywhere else, or to a name with a leading dot, which are ours
 */
export function pathBelow(directory: string, file: string): string {
  const full = path.resolve(directory, file);
  const names = path.relative(directory, full).split(path.sep);
  if (file.includes("\0") || names.some((name) => name === "" || name.startsWith("."))) {
    const message = `${JSON.stringify(file)} does not lie below ${directory}; correct the template`;
    throw new SluiceError("ERR_VALUE_UNSAFE", message, { details: { path: file, directory } });
  }
  return full;
}
