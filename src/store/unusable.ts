import { SluiceError, systemErrorCode } from "../support/errors.ts";

const advice: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space",
  EDQUOT: "the user's quota of disk space is used up; free some space",
  EROFS: "the file system is read-only; mount it writable or choose another haproxy.directory",
  EACCES: "this user may not; give it the directory (chown) or choose another haproxy.directory",
  EPERM: "this user may not; give it the directory (chown) or choose another haproxy.directory",
  ENOTDIR: "a file stands where a directory has to be; remove it or choose another haproxy.directory",
  EISDIR: "a directory stands where a file has to be; remove it",
  ENOENT: "the directory is gone; make it again, or start Sluice again, which does",
  EMFILE: "this process has too many files open; raise its limit (ulimit -n)",
  ENFILE: "this machine has too many files open; raise fs.file-max",
  EIO: "the disk failed; check it",
};

/** Trying again can help without anybody's doing. */
const passing: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EIO", "EINTR", "EAGAIN"]);

/**
 * A failed access to the state directory as ERR_STATE_UNUSABLE: what was done, where, and what to do. What is a
 * `SluiceError` already stays as it is.
 *
 * @param action what could not be done, as in "cannot write"
 */
export function stateUnusable(action: string, path: string, cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause;
  const code = systemErrorCode(cause) ?? "unknown";
  const message = advice[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new SluiceError("ERR_STATE_UNUSABLE", `cannot ${action} ${path} (${code}): ${message}`, {
    cause,
    retryable: passing.has(code),
    details: { path, system: code },
  });
}
