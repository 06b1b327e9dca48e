export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type ShellName = (typeof SHELLS)[number];

/**
 * A script that asks `baton complete` at every Tab, so that it stays right when the command is upgraded. Answers are
 * lines of a word, a tab, and a description; `:files` alone says that files fit too.
 */
export const COMPLETION_SCRIPTS: Record<ShellName, string> = {
  bash: `# bash completion of baton
_baton() {
  local cur=\${COMP_WORDS[COMP_CWORD]} line words=() files=
  # bash takes --name=value apart at the sign; the words are put together again up to the cursor.
  local before=\${COMP_LINE:0:COMP_POINT}
  local -a typed
  read -ra typed <<< "$before"
  [[ $before == *' ' ]] && typed+=('')
  while IFS= read -r line; do
    if [[ $line == ':files' ]]; then files=1; else words+=("\${line%%$'\\t'*}"); fi
  done < <(baton complete -- "\${typed[@]:1}" 2>/dev/null)
  COMPREPLY=()
  local word prefix=
  local last=\${typed[\${#typed[@]}-1]}
  [[ $COMP_WORDBREAKS == *=* && $last == *=* ]] && prefix=\${last%"\${last##*=}"}
  for word in "\${words[@]}"; do COMPREPLY+=("\${word#"$prefix"}"); done
  if [[ -n $files ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "\${cur#=}")
  fi
}
complete -F _baton baton
`,
  zsh: `#compdef baton
_baton() {
  local -a answers
  local line files=
  while IFS= read -r line; do
    if [[ $line == ':files' ]]; then files=1; continue; fi
    local word=\${line%%$'\\t'*} what=\${line#*$'\\t'}
    answers+=("\${word//:/\\\\:}:$what")
  done < <(baton complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( \${#answers} )) && _describe 'baton' answers
  [[ -n $files ]] && _files
  return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _baton "$@"; else compdef _baton baton; fi
`,
  fish: `# fish completion of baton
function __baton_complete
  set -l words (commandline -opc)[2..-1] (commandline -ct)
  for line in (baton complete -- $words 2>/dev/null)
    if test "$line" = ':files'
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
complete -c baton -f -a '(__baton_complete)'
`,
};

/** What to do with it, in each shell. */
export const INSTALL: Record<ShellName, string> = {
  bash: 'source <(baton completion bash)',
  zsh: 'source <(baton completion zsh)',
  fish: 'baton completion fish > ~/.config/fish/completions/baton.fish',
};
