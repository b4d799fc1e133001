"use strict";
// Links that only open a menu lead nowhere: the policy of these pages lets no script be an address.
document.addEventListener("click", (event) => {
  if (event.target.closest?.('a[href="#"], a[href^="javascript:"]')) event.preventDefault();
}, true);
