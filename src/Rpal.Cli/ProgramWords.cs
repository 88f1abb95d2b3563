using System.CommandLine;

namespace Rpal.Cli;

/// <summary>Keeps the programs' words out of the option parser.</summary>
internal static class ProgramWords
{
    private const string EndOfOptions = "--";

    /// <summary>Puts <c>--</c> before the first word behind <c>run</c> that is not an option of it.</summary>
    /// <remarks>
    /// System.CommandLine looks for options among all tokens: in <c>rpal run dotnet --help</c> it would answer the --help
    /// itself, and from <c>rpal run a --json</c> take the --json, even where unmatched tokens are allowed. It has no "stop at
    /// the first argument". Behind <c>--</c>, however, it takes every word as it is, further <c>--</c> included.
    /// </remarks>
    /// <exception cref="FormatException">A word before the programs looks like an option and is none: the library would take it for a program.</exception>
    public static string[] Shield(Command root, string[] args)
    {
        if (args.Length == 0 || args[0] != Commands.RunCommand.Name)
        {
            return args;
        }

        Command run = root.Subcommands.First(c => c.Name == args[0]);
        int at = 1;
        while (at < args.Length && args[at].Length > 1 && args[at][0] == '-' && args[at] != EndOfOptions)
        {
            at += WordsOf(args[at], [.. run.Options, .. root.Options.Where(o => o.Recursive)]);
        }

        return at >= args.Length || args[at] == EndOfOptions ? args : [.. args[..at], EndOfOptions, .. args[at..]];
    }

    /// <summary>How many words an option takes with its value; <c>--grace=5</c> is one.</summary>
    private static int WordsOf(string word, Option[] options)
    {
        string name = word.Split('=', ':')[0];
        Option option = options.FirstOrDefault(o => o.Name == name || o.Aliases.Contains(name))
            ?? throw new FormatException($"{word}: no such option. A program of that name goes behind --. See rpal {Commands.RunCommand.Name} --help.");
        return name == word && option.Arity.MinimumNumberOfValues > 0 ? 2 : 1;
    }
}
