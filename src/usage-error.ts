/** What the user can put right: bad flags or unreadable input. The CLI prints the message alone and exits with 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
