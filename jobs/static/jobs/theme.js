// Colours as chosen with the switch, before anything is painted. Without a choice they follow the system.
const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
