/** What kind of answer a command gives when it was carried out. */
export type AnswerKind =
  | "empty"
  | "server-added"
  | "server-deleted"
  | "backend-added"
  | "backend-published"
  | "backend-unpublished"
  | "backend-deleted"
  | "map-version";

/**
 * Answers that mean success, by kind (management guide 9.3; texts measured on 2.6.12, 3.0, 3.2 and 3.4.0). An answer
 * that is not on the list is a failure, whatever it says: HAProxy has no status codes, and an unknown command is told
 * in the same way as good news.
 *
 * The sentences that end `add server` and `del server` may follow warnings of earlier lines, so the last line decides.
 */
export function isAccepted(kind: AnswerKind, answer: string): boolean {
  switch (kind) {
    case "empty":
      return answer === "";
    case "server-added":
      return lastLine(answer) === "New server registered.";
    case "server-deleted":
      return lastLine(answer) === "Server deleted.";
    case "backend-added":
      return lastLine(answer) === "New backend registered.";
    case "backend-published":
      return lastLine(answer) === "Backend published.";
    case "backend-unpublished":
      return lastLine(answer) === "Backend unpublished.";
    case "backend-deleted":
      return lastLine(answer) === "Backend deleted.";
    case "map-version":
      return mapVersion(answer) !== undefined;
  }
}

/** The version in the answer of `prepare map`. */
export function mapVersion(answer: string): string | undefined {
  return /^New version created: ([0-9]+)$/.exec(answer)?.[1];
}

/** `show map` and its kin of a map the process has not loaded. */
export function isUnknownMap(answer: string): boolean {
  return answer.startsWith("Unknown map identifier.");
}

/** `del server` of what is not there (any more). */
export function isGone(answer: string): boolean {
  return answer === "No such server." || answer === "No such backend.";
}

/** `del server` of a server that still carries requests, or idle connections not purged yet. */
export function isBusy(answer: string): boolean {
  return answer === "Server still has connections attached to it, cannot remove it.";
}

/** `wait <time> be-removable <backend>` of one that can be deleted. */
export function isRemovable(answer: string): boolean {
  return lastLine(answer) === "Done.";
}

/** The same of one that still carries something; 3.4 says what. */
export function isExpired(answer: string): boolean {
  return answer.startsWith("Wait delay expired.");
}

function lastLine(answer: string): string {
  return answer.slice(answer.lastIndexOf("\n") + 1);
}
