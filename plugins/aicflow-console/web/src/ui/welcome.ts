/** Whether the first steps were skipped or walked in this browser: then `/` no longer leads there. */
const KEY = "welcome";

export function isWelcomeOver(): boolean {
  return localStorage.getItem(KEY) === "over";
}

export function endWelcome(): void {
  localStorage.setItem(KEY, "over");
}
