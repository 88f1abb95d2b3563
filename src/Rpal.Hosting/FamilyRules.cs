namespace Rpal.Hosting;

/// <summary>What every family must keep to, wherever its definition comes from.</summary>
internal static class FamilyRules
{
    /// <exception cref="FormatException">It does not; one line that names source, member and remedy.</exception>
    public static void Check(FamilyDefinition family, string source)
    {
        IReadOnlyList<MemberDefinition> members = family.Members;
        if (members.Count is 0 or > FamilyDefinition.MemberLimit)
        {
            throw new FormatException($"{source}: {members.Count} members; a family has 1 to {FamilyDefinition.MemberLimit}.");
        }

        foreach (MemberDefinition m in members)
        {
            CheckOne(m, source);
        }

        if (members.GroupBy(m => m.Name).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new FormatException($"{source}: two members are named '{twice.Key}'.");
        }

        CheckDependencies(members.ToDictionary(m => m.Name), source);
    }

    private static void CheckOne(MemberDefinition m, string source)
    {
        if (m.Name is not { Length: > 0 and <= MemberDefinition.NameLengthLimit } || !m.Name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
        {
            throw new FormatException($"{source}: member name '{m.Name}': 1 to {MemberDefinition.NameLengthLimit} letters, digits, '-', '_' or '.'.");
        }

        if (string.IsNullOrEmpty(m.Command))
        {
            throw new FormatException($"{source}: member {m.Name} has no command.");
        }

        if (m.Environment.Keys.FirstOrDefault(k => k.Length == 0 || k.Contains('=')) is { } key)
        {
            throw new FormatException($"{source}: member {m.Name}: '{key}' cannot be the name of an environment variable: it is empty or contains '='.");
        }

        string?[] texts = [m.Command, m.WorkingDirectory, .. m.Arguments, .. m.Environment.Keys, .. m.Environment.Values];
        if (texts.Any(t => t?.Contains('\0') == true))
        {
            throw new FormatException($"{source}: member {m.Name}: a command, argument, directory or environment variable contains a zero character.");
        }
    }

    private static void CheckDependencies(Dictionary<string, MemberDefinition> members, string source)
    {
        foreach (MemberDefinition m in members.Values)
        {
            foreach (string name in m.DependsOn)
            {
                if (!members.ContainsKey(name))
                {
                    throw new FormatException($"{source}: member {m.Name}: \"dependsOn\" names '{name}', and no member has that name. Members: {string.Join(", ", members.Keys)}.");
                }
            }
        }

        HashSet<string> checkedOnes = [];
        foreach (string name in members.Keys)
        {
            Follow(name, []);
        }

        void Follow(string name, List<string> path)
        {
            int seen = path.IndexOf(name);
            path.Add(name);
            if (seen >= 0)
            {
                throw new FormatException($"{source}: \"dependsOn\" goes in a circle, so none of these could start first: {string.Join(" needs ", path.Skip(seen))}.");
            }

            if (checkedOnes.Add(name))
            {
                foreach (string next in members[name].DependsOn)
                {
                    Follow(next, path);
                }
            }

            path.RemoveAt(path.Count - 1);
        }
    }
}
