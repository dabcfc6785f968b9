/**
 * Whether the id of a service can be written into a path. `.` and `..` cannot: a URL is rid of them, as they are and
 * encoded (URL Standard: "single-dot" and "double-dot URL path segment"). Consul takes a service with such an id, and
 * can never be told to forget it.
 */
export function isUsableId(id: string): boolean {
  return id !== "." && id !== "..";
}
