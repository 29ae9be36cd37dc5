/** JSON for people; integers that a number cannot hold are strings, as `eval` has them. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => (typeof member === "bigint" ? String(member) : member), 2);
}
