/** Whether single keys belong to what is typed, or to a dialog, and are no shortcuts. */
export const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLTextAreaElement ||
  target instanceof HTMLSelectElement ||
  (target instanceof HTMLInputElement && !["radio", "range"].includes(target.type)) ||
  document.querySelector("dialog[open]") !== null;
