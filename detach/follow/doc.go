// Package follow reads a log file as it grows, under its name: across
// truncation (logrotate's copytruncate) and replacement (rename and create).
//
// It cannot know what it has not seen. A line is lost
//
//   - that was written and truncated between two reads
//   - if the file was truncated and is as long as before by the next read
//   - that a program writes to the old file once there is something in the new
//     one. A daemon of detach never opens its log again, so what replaces the
//     log replaces it for readers only: truncate it instead
//   - in a file that came and was replaced between two reads
//
// So read often. Like all of detach it is for Linux; elsewhere it exports
// nothing.
package follow
