/** With whose rights this process runs. */

/**
 * Whether these are not the rights of the user who started it: set-user-ID, set-group-ID. Then the environment is that of somebody who
 * may have fewer rights, and must not say which code is loaded or where connections go. Node ignores NODE_OPTIONS in such a process.
 */
export function hasOthersRights(): boolean {
  return process.getuid?.() !== process.geteuid?.() || process.getgid?.() !== process.getegid?.()
}
